//! Is there a personnummer in this text? None is ever stored (I17).
//!
//! A number counts as one when it is written as people write it, its date exists (coordination
//! numbers, samordningsnummer, have 60 added to the day) and its check digit is right. Organisation
//! numbers pass: their third digit is at least 2, so that they have no month.
//!
//! People also paste from documents. Any kind of dash, non-breaking and thin spaces, full-width and
//! Arabic-Indic digits read as what they look like, and what cannot be seen is not there.

/// Whether the text holds a personnummer or samordningsnummer: 12 digits, 8 and 4 or 6 and 4 digits
/// around `-` or `+` with or without spaces, none of them next to another digit; or ten digits and
/// nothing else. Reads the text once, in linear time; the caller names the field and never echoes it.
pub fn contains_personal_number(text: &str) -> bool {
    // a soft hyphen is a dash where a line breaks and nothing elsewhere
    is_found_in(text) || text.contains(SOFT_HYPHEN) && is_found_in(&text.replace(SOFT_HYPHEN, ""))
}

const SOFT_HYPHEN: char = '\u{ad}';

fn is_found_in(text: &str) -> bool {
    let text: Vec<u8> = text.trim().chars().filter_map(plain).collect();
    let text = text.trim_ascii();
    let mut at = 0;
    while at < text.len() {
        let digits = digits_at(&text[at..]);
        let rest = &text[at + digits.len()..];
        let found = match digits.len() {
            12 => is_personal_number(digits),
            10 => digits.len() == text.len() && is_personal_number(digits),
            6 | 8 => after_sign(rest).is_some_and(|last| {
                last.len() == 4 && is_personal_number(&[digits, last].concat())
            }),
            _ => false,
        };
        if found {
            return true;
        }
        // past the run of digits, or past the one character that is none
        at += digits.len().max(1);
    }
    false
}

/// The character as ASCII: a digit, `-`, `+`, a space, or `x` for all that can be none of them.
/// `None` for what has no width, which may stand anywhere unseen.
fn plain(character: char) -> Option<u8> {
    let plain = match character {
        '0'..='9' | '-' | '+' => character as u8,
        '\u{660}'..='\u{669}' => digit(character, '\u{660}'),
        '\u{6f0}'..='\u{6f9}' => digit(character, '\u{6f0}'),
        '\u{ff10}'..='\u{ff19}' => digit(character, '\u{ff10}'),
        // soft hyphen, hyphens and dashes, minus signs
        '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{207b}' | '\u{2212}' => b'-',
        '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => b'-',
        '\u{fe62}' | '\u{ff0b}' => b'+',
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => {
            return None;
        }
        // A line's end is no space: a date there and a list's dash below it are two things.
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => b'x',
        space if space.is_whitespace() => b' ',
        _ => b'x',
    };
    Some(plain)
}

fn digit(character: char, zero: char) -> u8 {
    b'0' + (character as u32 - zero as u32) as u8
}

/// The digits that the text begins with.
fn digits_at(text: &[u8]) -> &[u8] {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    &text[..length]
}

/// The digits behind a sign with spaces around it, if the text begins with such a sign.
fn after_sign(text: &[u8]) -> Option<&[u8]> {
    match text.trim_ascii_start() {
        [b'-' | b'+', rest @ ..] => Some(digits_at(rest.trim_ascii_start())),
        _ => None,
    }
}

/// Ten or twelve digits with a date that exists and a check digit that is right.
fn is_personal_number(digits: &[u8]) -> bool {
    let number = |range: std::ops::Range<usize>| {
        digits[range]
            .iter()
            .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'))
    };
    let ten = digits.len() - 10;
    let year = match ten {
        // Without its century any leap year is one: 00 was 2000.
        0 => 2000 + number(0..2),
        _ => number(0..4),
    };
    let day = match number(ten + 4..ten + 6) {
        day @ 61..=91 => day - 60,
        day => day,
    };
    (1800..2100).contains(&year)
        && chrono::NaiveDate::from_ymd_opt(year as i32, number(ten + 2..ten + 4), day).is_some()
        && luhn(&digits[ten..]) == 0
}

/// Luhn's sum over ten digits, modulo ten: 0 when the last digit is the right check digit.
fn luhn(ten: &[u8]) -> u32 {
    let sum: u32 = ten
        .iter()
        .zip([2, 1].into_iter().cycle())
        .map(|(digit, factor)| {
            let product = u32::from(digit - b'0') * factor;
            product / 10 + product % 10
        })
        .sum();
    sum % 10
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;
    use proptest::prelude::*;

    use super::*;

    // 121212-1212 belongs to Tolvan Tolvansson, whom the tax agency made up for forms and tests.

    #[test]
    fn a_personal_number_is_found_however_it_is_written() {
        for text in [
            "121212-1212",
            "121212+1212",
            "19121212-1212",
            "20121212+1212",
            "191212121212",
            "1212121212",
            "  1212121212\n",
            "121212 - 1212",
            "121212- 1212",
            "121212   -\t1212",
            "Anna (121212-1212) håller i dagen",
            "pnr:191212121212.",
            "person-191212121212",
            "12-121212-1212-12",
            "2026-10-12 och 121212-1212",
            // coordination number: the day is 12 + 60
            "121272-1219",
            "121291-1216",
            "19121272-1219",
            // 29 February of a leap year, and of the year 00
            "20000229-0005",
            "000229-0005",
            // as pasted from documents: dashes, spaces and digits of other kinds, and the unseen
            "121212–1212",
            "121212−1212",
            "121212\u{2011}1212",
            "121212\u{ad}1212",
            "191212\u{ad}121212",
            "19121212\u{ad}-1212",
            "121212\u{a0}–\u{202f}1212",
            "１２１２１２－１２１２",
            "١٢١٢١٢-١٢١٢",
            "1912\u{200b}1212\u{2060}1212",
            "\u{feff}1212121212",
        ] {
            assert!(contains_personal_number(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_personal_number_passes() {
        for text in [
            "",
            "Planeringsdag vecka 41",
            // organisation numbers, with and without the prefix 16
            "556000-0000",
            "212000-2254",
            "5560360793",
            "16556036-0793",
            "165560360793",
            // a wrong check digit, a date that does not exist, a century without people
            "121212-1213",
            "121312-1211",
            "120230-1212",
            "19000229-0005",
            "121200-1216",
            "121292-1215",
            "12121260-1213",
            "17121212-1212",
            "21121212-1212",
            // next to another digit
            "1121212-1212",
            "121212-12123",
            "1191212121212",
            "1912121212123",
            "119121212-1212",
            // ten digits in a text, and signs and spaces that are not of the pattern
            "ring 1212121212",
            "1212121212 1212121212",
            "121212 1212",
            "121212--1212",
            "121212_1212",
            "121212\n- 1212 kronor",
            "12 12 12-1212",
            // dates, times, money, registry numbers, ids
            "2026-10-12",
            "20261012-20261013",
            "2026-10-12T08:00:00+02:00",
            "kl. 0800-1630",
            "1 250 000 kr",
            "KS 2026/00121-12",
            "person-0001",
            "0190a2b4-7c1e-7d3f-8a5b-123456789012",
            "11111111-2222-4333-8444-555555555555",
            "🎉➀➁ ½ ² \0",
        ] {
            assert!(!contains_personal_number(text), "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_read_once() {
        // quadratic time would take minutes
        for piece in ["1", "121212 ", "121212 - ", " ", "121212", "-"] {
            assert!(!contains_personal_number(&piece.repeat(200_000)));
        }
        let spaces = " ".repeat(200_000);
        assert!(contains_personal_number(&format!(
            "121212{spaces}-{spaces}1212"
        )));
    }

    /// A valid number as `YYYYMMDD` and the last four digits.
    fn any_number() -> impl Strategy<Value = (String, String)> {
        (1800i32..2100, 1u32..366, prop::bool::ANY, 0u32..1000).prop_map(
            |(year, day_of_year, coordination, serial)| {
                let date = chrono::NaiveDate::from_yo_opt(year, day_of_year).expect("a date");
                let day = date.day() + if coordination { 60 } else { 0 };
                let date = format!("{year}{:02}{day:02}", date.month());
                let check = (0..10)
                    .find(|check| luhn(format!("{}{serial:03}{check}", &date[2..]).as_bytes()) == 0)
                    .expect("a check digit");
                (date, format!("{serial:03}{check}"))
            },
        )
    }

    proptest! {
        #[test]
        fn a_valid_number_is_found_in_any_text(
            (date, last) in any_number(),
            long in prop::bool::ANY,
            sign in "( {0,3}[-+–] {0,3})",
            before in "(.*[^0-9])?",
            after in "([^0-9].*)?",
        ) {
            // a digit of another script, or one behind what has no width, adjoins too
            prop_assume!(before.chars().rev().find_map(plain).is_none_or(|end| !end.is_ascii_digit()));
            prop_assume!(after.chars().find_map(plain).is_none_or(|start| !start.is_ascii_digit()));
            let date = if long { &date[..] } else { &date[2..] };
            let text = format!("{before}{date}{sign}{last}{after}");
            prop_assert!(contains_personal_number(&text));
        }

        #[test]
        fn twelve_digits_are_found_and_ten_only_alone((date, last) in any_number()) {
            let twelve = format!("{date}{last}");
            let ten = &twelve[2..];
            prop_assert!(contains_personal_number(&["nr ", &twelve, "!"].concat()));
            prop_assert!(contains_personal_number(ten));
            prop_assert!(!contains_personal_number(&["nr ", ten].concat()));
        }

        #[test]
        fn another_check_digit_is_no_number((date, last) in any_number(), off in 1u8..10) {
            let wrong = (last.as_bytes()[3] - b'0' + off) % 10;
            let text = format!("{date}-{}{wrong}", &last[..3]);
            prop_assert!(!contains_personal_number(&text));
        }

        #[test]
        fn an_organisation_number_passes(
            first in 10u32..100, second in 20u32..100, rest in 0u32..100, last in 0u32..10_000,
        ) {
            for sign in ["-", "", " - "] {
                let number = format!("{first}{second}{rest:02}{sign}{last:04}");
                prop_assert!(!contains_personal_number(&number));
                prop_assert!(!contains_personal_number(&["16", &number].concat()));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            contains_personal_number(&text);
        }
    }
}
