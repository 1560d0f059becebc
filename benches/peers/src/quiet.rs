//! Shots that the host left alone.

use crate::host::Ticks;
use serde_json::{Value, json};
use std::time::Duration;

/// Shots for one figure, at most, where the host is in the way.
const TRIES: u32 = 5;
/// Before the second of them; before the third two of these, and so on.
const PAUSE: Duration = Duration::from_secs(2);
/// Where a shot says how much of the machine the host took meanwhile, in per cent.
pub(crate) const TAKEN: &str = "host_took_percent";

/// The first shot during which the host took at most `limit` per cent of the machine; else the one with the least of them.
/// Without a limit, or where the system does not say what the host took, the first shot.
pub(crate) fn shoot(limit: Option<f64>, shoot: impl Fn() -> Result<Value, String>) -> Result<Value, String> {
    let watched = || {
        let before = Ticks::now();
        let mut shot = shoot()?;
        let taken = Ticks::now().zip(before).map(|(now, then)| now.taken_since(then));
        shot[TAKEN] = json!(taken);
        Ok((taken, shot))
    };
    quietest(limit, PAUSE, watched)
}

fn quietest<T>(
    limit: Option<f64>,
    pause: Duration,
    mut shoot: impl FnMut() -> Result<(Option<f64>, T), String>,
) -> Result<T, String> {
    let (mut taken, mut best) = shoot()?;
    for tries in 1..TRIES {
        let (Some(limit), Some(least)) = (limit, taken) else { break };
        if least <= limit {
            break;
        }
        std::thread::sleep(pause * tries);
        let (again, shot) = shoot()?;
        if again.is_some_and(|again| again < least) {
            (taken, best) = (again, shot);
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::quietest;
    use std::time::Duration;

    /// Which of the shots is kept, and how many there were.
    fn kept(limit: Option<f64>, taken: &[Option<f64>]) -> (usize, usize) {
        let mut shots = taken.iter().copied().enumerate();
        let mut count = 0;
        let best = quietest(limit, Duration::ZERO, || {
            count += 1;
            shots.next().map(|(number, taken)| (taken, number)).ok_or_else(|| "one too many".to_owned())
        });
        (best.unwrap(), count)
    }

    #[test]
    fn the_first_quiet_shot_is_kept() {
        assert_eq!(kept(Some(1.0), &[Some(0.5)]), (0, 1));
        assert_eq!(kept(Some(1.0), &[Some(3.0), Some(7.0), Some(1.0)]), (2, 3));
    }

    #[test]
    fn without_one_the_least_disturbed_is() {
        assert_eq!(kept(Some(1.0), &[Some(3.0), Some(2.0), Some(9.0), Some(2.5), Some(4.0)]), (1, 5));
    }

    #[test]
    fn without_a_limit_or_a_system_that_says_it_is_the_first() {
        assert_eq!(kept(None, &[Some(50.0)]), (0, 1));
        assert_eq!(kept(Some(1.0), &[None]), (0, 1));
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let mut shots = 0;
        let failed = quietest(Some(1.0), Duration::ZERO, || {
            shots += 1;
            if shots == 2 { Err("no broker".to_owned()) } else { Ok((Some(2.0), ())) }
        });
        assert_eq!(failed, Err("no broker".to_owned()));
    }
}
