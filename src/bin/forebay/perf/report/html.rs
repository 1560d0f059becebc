//! Text, tables and units of the page.

use std::fmt::Write as _;

/// Text as it may stand in an element or in an attribute between double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// A table. The first cell of a row is its heading; `numbers` says that the others are numbers.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], numbers: bool) -> String {
    let class = if numbers { " class=\"n\"" } else { "" };
    let mut out = String::from("<div class=\"card\"><table>\n");
    if !head.is_empty() {
        out.push_str("<thead><tr>");
        for (index, cell) in head.iter().enumerate() {
            let _ = write!(out, "<th scope=\"col\"{}>{}</th>", if index > 0 { class } else { "" }, escaped(cell));
        }
        out.push_str("</tr></thead>\n");
    }
    out.push_str("<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let _ = match index {
                0 => write!(out, "<th scope=\"row\">{}</th>", escaped(cell)),
                _ => write!(out, "<td{class}>{}</td>", escaped(cell)),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// 7712345 as 7.71 M.
pub(crate) fn short(value: f64) -> String {
    for (factor, unit) in [(1e9, " G"), (1e6, " M"), (1e3, " k")] {
        if value >= factor {
            return format!("{}{unit}", digits(value / factor));
        }
    }
    digits(value)
}

/// Nanoseconds in the unit that reads best.
pub(crate) fn time(nanoseconds: f64) -> String {
    for (factor, unit) in [(1e9, " s"), (1e6, " ms"), (1e3, " µs")] {
        if nanoseconds >= factor {
            return format!("{}{unit}", digits(nanoseconds / factor));
        }
    }
    format!("{} ns", digits(nanoseconds))
}

/// Bytes in binary units.
pub(crate) fn bytes(bytes: f64) -> String {
    for (factor, unit) in [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1_024.0, "KiB")] {
        if bytes >= factor {
            return format!("{} {unit}", digits(bytes / factor));
        }
    }
    format!("{bytes:.0} B")
}

/// Three digits that count, without zeros at the end.
fn digits(value: f64) -> String {
    let text = match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => return format!("{value:.0}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Seconds since 1970 as a date and a time of day (UTC). The arithmetic is that of the Gregorian calendar: years of 146,097 days
/// to four centuries, which begin with March so that the leap day comes last.
pub(super) fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + next;
    let (hour, minute) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::{bytes, date, escaped, short, table, time};

    #[test]
    fn what_is_not_markup_does_not_become_markup() {
        assert_eq!(escaped("</script><b a=\"&\">"), "&lt;/script&gt;&lt;b a=&quot;&amp;&quot;&gt;");
        let table = table(&["<"], &[vec!["a&b".to_owned(), ">".to_owned()]], false);
        assert!(table.contains("&lt;</th>") && table.contains("a&amp;b") && table.contains("<td>&gt;"), "{table}");
    }

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!([short(7_712_345.0), short(999.0), short(0.0), short(10_000.0)], ["7.71 M", "999", "0", "10 k"]);
        assert_eq!([time(83.0), time(1_234.0), time(12_345_678.0)], ["83 ns", "1.23 µs", "12.3 ms"]);
        assert_eq!([bytes(100.0), bytes(33_554_432.0)], ["100 B", "32 MiB"]);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_700_000_000, "2023-11-14 22:13 UTC"),
            (4_107_542_399, "2100-02-28 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
