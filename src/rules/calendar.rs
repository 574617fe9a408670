//! Days, weeks and terms as people in Hedemora count them: in Europe/Stockholm.
//!
//! Moments are stored and compared in UTC; only a *date* needs the calendar. Every rule that speaks of
//! a day ("due on", "the event's dates", "today") gets it from here, so that no two rules can disagree
//! about which day a summer night belongs to.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Europe::Stockholm;

/// The last day that there is here: dates lie between 1900 and 2199.
pub const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2199, 12, 31).expect("a day");

/// The date in Stockholm at this moment.
pub fn stockholm_date(moment: DateTime<Utc>) -> NaiveDate {
    moment.with_timezone(&Stockholm).date_naive()
}

/// The moment at which this date begins in Stockholm.
///
/// A period of dates `from..=to` is the moments from the start of `from` up to, not including, the
/// start of the day after `to`.
pub fn start_of_day(date: NaiveDate) -> DateTime<Utc> {
    let midnight = date.and_time(NaiveTime::MIN);
    Stockholm
        .from_local_datetime(&midnight)
        .earliest()
        // Stockholm has never skipped a midnight; were it to, standard time is the honest guess.
        .map_or_else(
            || midnight.and_utc() - TimeDelta::hours(1),
            |start| start.to_utc(),
        )
}

/// The last date of something that ends at this moment.
///
/// An end is the first moment that no longer belongs, as everywhere in the service: what ends at
/// midnight ends with the day before, so a party until midnight on Friday does not reach Saturday.
/// One microsecond is PostgreSQL's resolution, so the same is written in SQL as
/// `((ends_at - interval '1 microsecond') at time zone 'Europe/Stockholm')::date`.
pub fn last_day(end: DateTime<Utc>) -> NaiveDate {
    stockholm_date(end - TimeDelta::microseconds(1))
}

/// "The event's dates": every date from its first start to its last end, both included.
pub fn event_days(
    first_start: DateTime<Utc>,
    last_end: DateTime<Utc>,
) -> RangeInclusive<NaiveDate> {
    stockholm_date(first_start)..=last_day(last_end)
}

/// The ISO 8601 week, as in "2026-W41". Its year is the week's, not the date's: 2027-01-01 lies in
/// "2026-W53".
pub fn iso_week(date: NaiveDate) -> String {
    let week = date.iso_week();
    format!("{:04}-W{:02}", week.year(), week.week())
}

/// The third of the year, as in "2026-T2": January–April, May–August, September–December.
pub fn tertial(date: NaiveDate) -> String {
    format!("{:04}-T{}", date.year(), date.month0() / 4 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn a_moment_has_the_date_that_a_clock_in_stockholm_shows() {
        for (at, shown) in [
            // winter: one hour ahead of UTC
            ("2026-01-15T22:59:59Z", "2026-01-15"),
            ("2026-01-15T23:00:00Z", "2026-01-16"),
            // summer: two hours ahead
            ("2026-07-15T21:59:59Z", "2026-07-15"),
            ("2026-07-15T22:00:00Z", "2026-07-16"),
            // the night to summer time begins in winter time and the day ends in summer time
            ("2026-03-28T23:00:00Z", "2026-03-29"),
            ("2026-03-29T21:59:59Z", "2026-03-29"),
            ("2026-03-29T22:00:00Z", "2026-03-30"),
            // the night to winter time begins in summer time and the day ends in winter time
            ("2026-10-24T22:00:00Z", "2026-10-25"),
            ("2026-10-25T22:59:59Z", "2026-10-25"),
            ("2026-10-25T23:00:00Z", "2026-10-26"),
            // new year's eve
            ("2026-12-31T22:59:59Z", "2026-12-31"),
            ("2026-12-31T23:00:00Z", "2027-01-01"),
        ] {
            assert_eq!(stockholm_date(moment(at)), date(shown), "{at}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_stockholm_and_lasts_23_24_or_25_hours() {
        for (day, begins, hours) in [
            ("2026-01-15", "2026-01-14T23:00:00Z", 24),
            ("2026-07-15", "2026-07-14T22:00:00Z", 24),
            ("2026-03-29", "2026-03-28T23:00:00Z", 23),
            ("2026-10-25", "2026-10-24T22:00:00Z", 25),
            ("2027-01-01", "2026-12-31T23:00:00Z", 24),
        ] {
            let start = start_of_day(date(day));
            assert_eq!(start, moment(begins), "{day}");
            assert_eq!(stockholm_date(start), date(day));
            let next = start_of_day(date(day).succ_opt().expect("tomorrow"));
            assert_eq!((next - start).num_hours(), hours, "{day}");
        }
    }

    #[test]
    fn an_event_that_ends_at_midnight_ends_with_the_day_before() {
        for (start, end, first, last) in [
            // an ordinary day
            (
                "2026-10-12T07:00:00Z",
                "2026-10-12T14:00:00Z",
                "2026-10-12",
                "2026-10-12",
            ),
            // until midnight, summer and winter
            (
                "2026-06-12T16:00:00Z",
                "2026-06-12T22:00:00Z",
                "2026-06-12",
                "2026-06-12",
            ),
            (
                "2026-12-11T17:00:00Z",
                "2026-12-11T23:00:00Z",
                "2026-12-11",
                "2026-12-11",
            ),
            // a microsecond later is the next day
            (
                "2026-12-11T17:00:00Z",
                "2026-12-11T23:00:00.000001Z",
                "2026-12-11",
                "2026-12-12",
            ),
            // from midnight to midnight on the day that has 25 hours
            (
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
                "2026-10-25",
                "2026-10-25",
            ),
            // the shortest event there is, beginning at midnight
            (
                "2026-10-24T22:00:00Z",
                "2026-10-24T22:00:00.000001Z",
                "2026-10-25",
                "2026-10-25",
            ),
            // over new year
            (
                "2026-12-31T12:00:00Z",
                "2027-01-01T12:00:00Z",
                "2026-12-31",
                "2027-01-01",
            ),
        ] {
            assert_eq!(
                event_days(moment(start), moment(end)),
                date(first)..=date(last),
                "{start}..{end}"
            );
        }
    }

    #[test]
    fn a_week_belongs_to_the_year_that_has_its_thursday() {
        for (day, week) in [
            ("2026-10-09", "2026-W41"),
            ("2026-01-01", "2026-W01"),
            ("2025-12-29", "2026-W01"),
            ("2025-12-28", "2025-W52"),
            ("2026-12-31", "2026-W53"),
            ("2027-01-01", "2026-W53"),
            ("2027-01-03", "2026-W53"),
            ("2027-01-04", "2027-W01"),
        ] {
            assert_eq!(iso_week(date(day)), week, "{day}");
        }
    }

    #[test]
    fn a_year_has_three_tertials_of_four_months() {
        for (day, term) in [
            ("2026-01-01", "2026-T1"),
            ("2026-04-30", "2026-T1"),
            ("2026-05-01", "2026-T2"),
            ("2026-08-31", "2026-T2"),
            ("2026-09-01", "2026-T3"),
            ("2026-12-31", "2026-T3"),
        ] {
            assert_eq!(tertial(date(day)), term, "{day}");
        }
    }
}
