//! The page of `forebay perf --report` in a browser: `cargo xtask browser`.

#![cfg(feature = "cli")]

use std::process::{self, Command};
use std::{env, fs};

/// Moves a pointer over each chart and puts what happened into the title of the page.
const PROBE: &str = r#"<script>
const said = [];
for (const svg of document.querySelectorAll("svg[data-hover]")) {
  const box = svg.getBoundingClientRect();
  svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width / 2, clientY: box.top + 20}));
  const tip = svg.parentElement.querySelector(".tip");
  const place = tip.getBoundingClientRect();
  const inside = place.width > 0 && place.left >= 0 && place.right <= innerWidth;
  said.push(tip.hidden || !tip.textContent || !inside ? "nothing" : "tip");
  svg.dispatchEvent(new PointerEvent("pointerleave"));
  if (!tip.hidden) said.push("stays");
}
const dark = getComputedStyle(document.body).backgroundColor;
const wide = document.documentElement.scrollWidth > innerWidth ? "wide" : "fits";
document.title = "probe:" + said.join(",") + ":" + wide + ":" + dark;
</script></body>"#;

#[test]
#[ignore = "needs Chromium: cargo xtask browser"]
fn a_report_works_in_a_browser_in_light_and_dark_on_a_desk_and_on_a_phone() {
    let browser = env::var("FOREBAY_BROWSER").expect("FOREBAY_BROWSER names Chromium");
    let dir = env::temp_dir().join(format!("forebay-browser-{}", process::id()));
    fs::create_dir_all(&dir).expect("a folder");
    let report = dir.join("report.html");
    let done = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["perf", "--num-records", "20000", "--partitions", "2", "--report"])
        .arg(&report)
        .output()
        .expect("forebay starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let page = fs::read_to_string(&report).expect("a page");
    fs::write(&report, page.replace("</body>", PROBE)).expect("the page with the probe");
    let mut backgrounds = Vec::new();
    for (size, scheme) in [("1200,900", "1"), ("400,800", "0")] {
        let output = Command::new(&browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--dump-dom"])
            .arg(format!("--user-data-dir={}", dir.join(scheme).display()))
            .arg(format!("--window-size={size}"))
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(format!("file://{}", report.display()))
            .output()
            .expect("the browser starts");
        let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{log}");
        // Errors of scripts and what the page's own policy forbids.
        assert!(!log.contains("CONSOLE"), "{log}");
        let title = dom.split_once("<title>probe:").and_then(|(_, rest)| rest.split_once("</title>"));
        let (told, _) = title.unwrap_or_else(|| panic!("the probe did not run: {dom}"));
        let (said, background) = told.rsplit_once(":rgb").expect("a colour");
        assert_eq!(said, "tip,tip,tip,tip,tip:fits", "{size}");
        backgrounds.push(background.to_owned());
    }
    assert_ne!(backgrounds[0], backgrounds[1], "light and dark");
    fs::remove_dir_all(&dir).expect("the folder can go");
}
