fn main() {
    // the migrations are embedded, so a new one asks for a new build
    println!("cargo:rerun-if-changed=migrations");
}
