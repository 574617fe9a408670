//! Entries as an iCalendar object (RFC 5545): lines end in CRLF and hold 75 octets at most, texts are escaped, times are
//! Stockholm's with the rule of its summer time beside them.

use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Europe::Stockholm;

use super::{Entry, When};

/// Summer time in Stockholm as the European Union has had it since 1996; a feed shows nothing older.
const TIME_ZONE: &str = "BEGIN:VTIMEZONE\r\n\
    TZID:Europe/Stockholm\r\n\
    BEGIN:DAYLIGHT\r\n\
    DTSTART:19960331T020000\r\n\
    RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n\
    TZOFFSETFROM:+0100\r\n\
    TZOFFSETTO:+0200\r\n\
    TZNAME:CEST\r\n\
    END:DAYLIGHT\r\n\
    BEGIN:STANDARD\r\n\
    DTSTART:19961027T030000\r\n\
    RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n\
    TZOFFSETFROM:+0200\r\n\
    TZOFFSETTO:+0100\r\n\
    TZNAME:CET\r\n\
    END:STANDARD\r\n\
    END:VTIMEZONE\r\n";

/// How many octets a line holds, its end not counted.
const LINE: usize = 75;

/// The calendar with this name.
pub fn render(name: &str, entries: &[Entry]) -> String {
    let mut out = String::new();
    line(&mut out, "BEGIN:VCALENDAR");
    line(&mut out, "VERSION:2.0");
    line(&mut out, "PRODID:-//kompetens//kompetens//SV");
    line(&mut out, "CALSCALE:GREGORIAN");
    line(&mut out, &format!("X-WR-CALNAME:{}", escaped(name)));
    line(&mut out, "REFRESH-INTERVAL;VALUE=DURATION:PT1H");
    out.push_str(TIME_ZONE);
    for entry in entries {
        render_entry(&mut out, entry);
    }
    line(&mut out, "END:VCALENDAR");
    out
}

fn render_entry(out: &mut String, entry: &Entry) {
    line(out, "BEGIN:VEVENT");
    line(out, &format!("UID:{}", entry.id));
    line(out, &format!("SEQUENCE:{}", entry.sequence));
    line(out, &format!("DTSTAMP:{}", utc(entry.changed_at)));
    match entry.when {
        When::Between(start, end) => {
            // seconds are the finest that iCalendar knows, and an end lies after its start
            let end = end.max(start + TimeDelta::seconds(1));
            let [start, end] = times([start, end]);
            line(out, &format!("DTSTART{start}"));
            line(out, &format!("DTEND{end}"));
        }
        When::On(day) => {
            let next = day.succ_opt().unwrap_or(day);
            line(out, &format!("DTSTART;VALUE=DATE:{}", date(day)));
            line(out, &format!("DTEND;VALUE=DATE:{}", date(next)));
            // nobody is busy because something is due
            line(out, "TRANSP:TRANSPARENT");
        }
    }
    line(out, &format!("SUMMARY:{}", escaped(&entry.title)));
    if let Some(description) = &entry.description {
        line(out, &format!("DESCRIPTION:{}", escaped(description)));
    }
    if let Some(place) = &entry.place {
        line(out, &format!("LOCATION:{}", escaped(place)));
    }
    let status = if entry.cancelled {
        "CANCELLED"
    } else {
        "CONFIRMED"
    };
    line(out, &format!("STATUS:{status}"));
    line(out, "END:VEVENT");
}

/// Start and end as Stockholm's clocks show them; in UTC when one lies in the second half of the hour that clocks show twice.
fn times(moments: [DateTime<Utc>; 2]) -> [String; 2] {
    let local = |moment: DateTime<Utc>| moment.with_timezone(&Stockholm).naive_local();
    let shown_first = |moment: &DateTime<Utc>| {
        Stockholm
            .from_local_datetime(&local(*moment))
            .earliest()
            .is_some_and(|first| first == *moment)
    };
    if moments.iter().all(shown_first) {
        moments.map(|moment| {
            format!(
                ";TZID=Europe/Stockholm:{}",
                local(moment).format("%Y%m%dT%H%M%S")
            )
        })
    } else {
        moments.map(|moment| format!(":{}", utc(moment)))
    }
}

fn utc(moment: DateTime<Utc>) -> String {
    moment.format("%Y%m%dT%H%M%SZ").to_string()
}

fn date(day: NaiveDate) -> String {
    day.format("%Y%m%d").to_string()
}

/// A text as a value of type TEXT.
fn escaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for char in text.replace("\r\n", "\n").chars() {
        match char {
            '\\' => value.push_str("\\\\"),
            ';' => value.push_str("\\;"),
            ',' => value.push_str("\\,"),
            '\n' | '\r' => value.push_str("\\n"),
            other => value.push(other),
        }
    }
    value
}

/// Adds a line, folded between characters where it is too long.
fn line(out: &mut String, text: &str) {
    let mut used = 0;
    for char in text.chars() {
        if used + char.len_utf8() > LINE {
            out.push_str("\r\n ");
            used = 1;
        }
        out.push(char);
        used += char.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    fn entry(when: When, title: &str) -> Entry {
        Entry {
            id: Uuid::from_u128(1),
            sequence: 3,
            changed_at: moment("2026-09-01T08:00:00.5Z"),
            when,
            title: title.to_owned(),
            description: None,
            place: None,
            cancelled: false,
        }
    }

    #[test]
    fn a_time_is_the_clocks_and_in_utc_where_the_clock_would_mislead() {
        for (start, end, written) in [
            (
                "2026-10-05T06:30:00Z",
                "2026-10-05T14:30:00Z",
                "DTSTART;TZID=Europe/Stockholm:20261005T083000\r\nDTEND;TZID=Europe/Stockholm:20261005T163000\r\n",
            ),
            (
                "2026-12-05T06:30:00Z",
                "2026-12-05T06:30:00.5Z",
                "DTSTART;TZID=Europe/Stockholm:20261205T073000\r\nDTEND;TZID=Europe/Stockholm:20261205T073001\r\n",
            ),
            // 02:30 comes twice that night: at 00:30Z, which a local time means, and at 01:30Z
            (
                "2026-10-25T00:30:00Z",
                "2026-10-25T03:00:00Z",
                "DTSTART;TZID=Europe/Stockholm:20261025T023000\r\nDTEND;TZID=Europe/Stockholm:20261025T040000\r\n",
            ),
            (
                "2026-10-25T01:30:00Z",
                "2026-10-25T03:00:00Z",
                "DTSTART:20261025T013000Z\r\nDTEND:20261025T030000Z\r\n",
            ),
        ] {
            let entry = entry(When::Between(moment(start), moment(end)), "Dag");
            let text = render("Namn", &[entry]);
            assert!(text.contains(written), "{start}: {text}");
        }
        let due = entry(
            When::On("2026-12-31".parse().expect("a day")),
            "Uppföljning",
        );
        assert!(
            render("Namn", &[due])
                .contains("DTSTART;VALUE=DATE:20261231\r\nDTEND;VALUE=DATE:20270101\r\n")
        );
    }

    #[test]
    fn a_text_is_escaped() {
        assert_eq!(
            escaped("a\\b;c,d\r\ne\nf\rg: \"h\""),
            "a\\\\b\\;c\\,d\\ne\\nf\\ng: \"h\""
        );
    }

    proptest! {
        #[test]
        fn whatever_is_written_unfolds_to_itself_in_lines_of_75_octets(title in "\\PC{0,200}") {
            let entry = entry(When::On("2026-10-05".parse().expect("a day")), &title);
            let text = render(&title, &[entry]);
            prop_assert!(text.ends_with("\r\n"));
            prop_assert!(text.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])));
            let unfolded = text.replace("\r\n ", "");
            let summary = format!("\r\nSUMMARY:{}\r\n", escaped(&title));
            prop_assert!(unfolded.contains(&summary));
        }
    }
}
