//! Hedemora's demo data.

pub const HR_ADMINISTRATOR: &str = "person-0001";
pub const FIRST_EVENT: &str = "0190a000-0000-7000-8000-000000001001";

pub enum Outcome {
    Loaded,
    There,
}
impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
pub fn load(_url: &str) -> Result<Outcome, String> {
    Ok(Outcome::There)
}
pub fn load_if_empty(_url: &str) -> Result<(), String> {
    Ok(())
}
