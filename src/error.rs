//! The one error of the service, named by what went wrong.
//!
//! Every error has a [`Code`] from the catalogue below; `http::problem` renders it as `application/problem+json`.
//! What rules and constraints say is given its code in one place: here.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::guideline::Text;
use crate::rules::Fault;

/// Where in the request a fault lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A JSON pointer (RFC 6901) into the body.
    Pointer(String),
    /// The name of a path or query parameter.
    Parameter(String),
    /// The name of a header.
    Header(&'static str),
    /// A rule of the guideline, which the code names.
    Rule,
}

/// One fault among several: where, what, and what to do.
#[derive(Debug, Clone)]
pub struct FieldError {
    pub at: At,
    pub code: String,
    pub detail: Text,
}

/// What became of the transaction, for the gate to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The answer is final.
    Final,
    /// Lost to a concurrent transaction; the same closure may win when run again.
    Retry,
    /// The connection is gone; nothing of an uncommitted transaction remains.
    ConnectionLost,
}

/// What went wrong. Cheap to move: it is one pointer.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    detail: Option<Text>,
    errors: Vec<FieldError>,
    fate: Fate,
    /// For the log only; never in an answer.
    internal: Option<String>,
    /// `Location` of what a replay may not show, or `Allow` of a wrong method.
    header: Option<(&'static str, String)>,
}

impl Error {
    pub fn new(code: Code) -> Error {
        Error(Box::new(Inner {
            code,
            detail: None,
            errors: Vec::new(),
            fate: Fate::Final,
            internal: None,
            header: None,
        }))
    }

    /// Something this program did not expect: 500, with the cause in the log alone.
    pub fn internal(cause: impl std::fmt::Display) -> Error {
        let mut error = Error::new(Code::InternalError);
        error.0.internal = Some(cause.to_string());
        error
    }

    /// A fault at one place, whose own code is the error's.
    pub fn at(code: Code, at: At) -> Error {
        Error::explained(code, at, code.advice())
    }

    /// A fault at a place, and what is to be done about it there.
    pub fn explained(code: Code, at: At, detail: Text) -> Error {
        Error::new(code).with(FieldError {
            at,
            code: code.as_str().to_owned(),
            detail,
        })
    }

    /// A fault at a JSON pointer into the body.
    pub fn at_pointer(code: Code, pointer: impl Into<String>) -> Error {
        Error::at(code, At::Pointer(pointer.into()))
    }

    /// The faults that a rule found in a body; the error's code is `code`.
    pub fn faults(code: Code, faults: Vec<Fault>) -> Error {
        faults.into_iter().fold(Error::new(code), |error, fault| {
            error.with(FieldError {
                at: At::Pointer(fault.pointer),
                code: fault.code.to_owned(),
                detail: fault.detail,
            })
        })
    }

    #[must_use]
    pub fn with(mut self, error: FieldError) -> Error {
        self.0.errors.push(error);
        self
    }

    #[must_use]
    pub fn detail(mut self, detail: Text) -> Error {
        self.0.detail = Some(detail);
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: String) -> Error {
        self.0.header = Some((name, value));
        self
    }

    /// The same failure under another code.
    #[must_use]
    pub fn recoded(mut self, code: Code) -> Error {
        self.0.code = code;
        self
    }

    /// What a body names was not found: a fault of the body there. Any other failure stays what it is.
    #[must_use]
    pub fn as_unknown(self, code: Code, pointer: impl Into<String>) -> Error {
        if self.code() == Code::NotFound {
            Error::at_pointer(code, pointer)
        } else {
            self
        }
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    pub fn fate(&self) -> Fate {
        self.0.fate
    }

    /// The detail to show: this error's own, or what the catalogue advises.
    pub fn shown_detail(&self) -> Text {
        self.0
            .detail
            .clone()
            .unwrap_or_else(|| self.0.code.advice())
    }

    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    pub fn internal_cause(&self) -> Option<&str> {
        self.0.internal.as_deref()
    }

    pub fn extra_header(&self) -> Option<&(&'static str, String)> {
        self.0.header.as_ref()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.code.as_str())?;
        match &self.0.internal {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The constraints of the database that a request can break, and the problem each one is.
/// A test compares the table with the constraints that the database has.
pub const CONSTRAINTS: &[(&str, Code, &str)] = &[
    ("units_validity", Code::InvalidPeriod, "/validTo"),
    (
        "units_root_is_municipality",
        Code::UnitMisplaced,
        "/parentId",
    ),
    ("units_one_municipality", Code::UnitMisplaced, "/type"),
    ("units_parent_type", Code::UnitMisplaced, "/parentId"),
    ("units_parent_valid", Code::OutsideValidity, "/validFrom"),
    ("units_parent_id_fkey", Code::UnknownUnit, "/parentId"),
    ("units_successor_of_fkey", Code::UnknownUnit, "/successorOf"),
    ("units_still_in_use", Code::StillInUse, "/validTo"),
    ("people_validity", Code::InvalidPeriod, "/validTo"),
    ("people_person_ref", Code::AlreadyExists, "/personRef"),
    ("people_unit_id_fkey", Code::UnknownUnit, "/unitId"),
    ("people_still_in_use", Code::StillInUse, "/validTo"),
    (
        "office_appointments_validity",
        Code::InvalidPeriod,
        "/validTo",
    ),
    (
        "office_appointments_unit_id_fkey",
        Code::UnknownUnit,
        "/unitId",
    ),
    (
        "office_appointments_person_ref_fkey",
        Code::UnknownPerson,
        "/personRef",
    ),
    (
        "office_appointments_unit_type",
        Code::OfficeMisplaced,
        "/officeType",
    ),
    (
        "office_appointments_unit_valid",
        Code::OutsideValidity,
        "/validFrom",
    ),
    (
        "office_appointments_person_valid",
        Code::OutsideValidity,
        "/validFrom",
    ),
    (
        "office_appointments_one_ordinary_holder",
        Code::OfficeTaken,
        "/validFrom",
    ),
    ("business_goals_validity", Code::InvalidPeriod, "/validTo"),
    ("business_goals_unit_id_fkey", Code::UnknownUnit, "/unitId"),
    ("venues_validity", Code::InvalidPeriod, "/validTo"),
    (
        "venues_owner_unit_id_fkey",
        Code::UnknownUnit,
        "/ownerUnitId",
    ),
    (
        "supplier_contracts_validity",
        Code::InvalidPeriod,
        "/validTo",
    ),
    (
        "exception_request_rules_one_open",
        Code::RequestOpen,
        "/ruleIds",
    ),
    (
        "events_responsible_person_fkey",
        Code::UnknownPerson,
        "/responsiblePerson",
    ),
    (
        "follow_ups_responsible_person_fkey",
        Code::UnknownPerson,
        "/responsiblePerson",
    ),
    ("occasions_venue_id_fkey", Code::UnknownVenue, "/occasions"),
];

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Error {
        let fate = fate(&error);
        if fate == Fate::Final {
            match &error {
                DieselError::NotFound => return Error::new(Code::NotFound),
                DieselError::DatabaseError(_, info) => {
                    let broken = info
                        .constraint_name()
                        .and_then(|name| CONSTRAINTS.iter().find(|(known, ..)| *known == name));
                    if let Some((_, code, pointer)) = broken {
                        return Error::at_pointer(*code, *pointer);
                    }
                }
                _ => {}
            }
        }
        let mut failure = match fate {
            Fate::Final if is_timeout(&error) => Error::new(Code::DatabaseUnavailable),
            Fate::Final => Error::new(Code::InternalError),
            Fate::Retry | Fate::ConnectionLost => Error::new(Code::DatabaseUnavailable),
        };
        failure.0.fate = fate;
        failure.0.internal = Some(error.to_string());
        failure
    }
}

/// diesel gives no SQLSTATE for most errors, so they are told by PostgreSQL's English messages
/// (`lc_messages` is C or English, which readiness checks).
fn fate(error: &DieselError) -> Fate {
    let DieselError::DatabaseError(kind, info) = error else {
        return match error {
            DieselError::BrokenTransactionManager => Fate::ConnectionLost,
            _ => Fate::Final,
        };
    };
    match kind {
        DatabaseErrorKind::SerializationFailure => Fate::Retry,
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
            Fate::ConnectionLost
        }
        _ => {
            let message = info.message();
            let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
            if says(&["deadlock detected"]) {
                Fate::Retry
            } else if says(&[
                "server closed the connection",
                "terminating connection",
                "connection to server",
                "no connection to the server",
                "could not receive data",
                "could not send data",
                "SSL connection has been closed",
                "the database system is",
                "connection not open",
            ]) {
                Fate::ConnectionLost
            } else {
                Fate::Final
            }
        }
    }
}

/// Locks, statements and disks that made the database give up: nothing was written, and later it may work.
fn is_timeout(error: &DieselError) -> bool {
    let DieselError::DatabaseError(kind, info) = error else {
        return false;
    };
    let message = info.message();
    *kind == DatabaseErrorKind::ReadOnlyTransaction
        || [
            "lock timeout",
            "statement timeout",
            "No space left",
            "could not extend file",
            "remaining connection slots",
            "too many clients",
        ]
        .iter()
        .any(|phrase| message.contains(phrase))
}

/// The catalogue: one line per problem, with its status, its title and what to do next, in both languages.
macro_rules! catalogue {
    ($($variant:ident = $status:literal $code:literal, $sv_title:literal, $en_title:literal, $sv:literal, $en:literal;)+) => {
        /// The code of a problem: the last part of its `type`, the same for ever.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($variant),+ }

        impl Code {
            /// Every code, in the catalogue's order.
            pub const ALL: &[Code] = &[$(Code::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code),+ }
            }

            /// The HTTP status (RFC 9110).
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status),+ }
            }

            pub fn title(self) -> Text {
                match self { $(Code::$variant => Text::new($sv_title, $en_title)),+ }
            }

            /// What to do next.
            pub fn advice(self) -> Text {
                match self { $(Code::$variant => Text::new($sv, $en)),+ }
            }
        }
    };
}

catalogue! {
    MalformedJson = 400 "malformed-json", "Ogiltig JSON", "Malformed JSON",
        "Anropets innehåll är inte giltig JSON. Rätta det och skicka igen.",
        "The body is not valid JSON. Mend it and send it again.";
    DuplicateKey = 400 "duplicate-key", "Samma fält två gånger", "Duplicate key",
        "Ett JSON-objekt innehåller samma fält två gånger. Ta bort det ena.",
        "A JSON object holds the same key twice. Remove one of them.";
    InvalidParameter = 400 "invalid-parameter", "Ogiltig parameter", "Invalid parameter",
        "En parameter i adressen har fel form. Se vad som väntades och rätta den.",
        "A parameter of the address has the wrong form. See what was expected and mend it.";
    InvalidCursor = 400 "invalid-cursor", "Ogiltig markör", "Invalid cursor",
        "Markören hör inte till den här listan med de här filtren. Börja om utan cursor.",
        "The cursor does not belong to this list with these filters. Start again without cursor.";
    PageTooDeep = 400 "page-too-deep", "För djup sida", "Page too deep",
        "Med page nås de första 10 000 raderna. Följ nextCursor för att läsa vidare.",
        "The first 10,000 rows can be reached by page. Follow nextCursor to read on.";
    InvalidHeader = 400 "invalid-header", "Ogiltigt huvudfält", "Invalid header",
        "Ett huvudfält i anropet har fel form. Se vad som väntades och rätta det.",
        "A header of the request has the wrong form. See what was expected and mend it.";
    Unauthenticated = 401 "unauthenticated", "Inte inloggad", "Not authenticated",
        "Skicka ett giltigt bevis i huvudfältet Authorization: Bearer …. Logga in igen om det har gått ut.",
        "Send a valid token in the header Authorization: Bearer …. Log in again if it has expired.";
    Forbidden = 403 "forbidden", "Inte tillåtet", "Forbidden",
        "Din roll ger inte rätt till detta. Be någon med rätt roll för enheten, eller HR.",
        "Your role does not allow this. Ask someone with the right role for the unit, or HR.";
    NotFound = 404 "not-found", "Finns inte", "Not found",
        "Det du söker finns inte, eller så får du inte veta om det. Kontrollera adressen.",
        "What you ask for does not exist, or you may not know of it. Check the address.";
    NoBaseline = 404 "no-baseline", "Ingen baslinje än", "No baseline yet",
        "Evenemanget har inte bekräftats, så inga svar har frysts. Bekräfta det först.",
        "The event has not been confirmed, so no answers have been frozen. Confirm it first.";
    MethodNotAllowed = 405 "method-not-allowed", "Metoden stöds inte", "Method not allowed",
        "Adressen finns men stöder inte metoden. Huvudfältet Allow säger vilka som går.",
        "The address exists but does not support the method. The header Allow names those that work.";
    RequestTimeout = 408 "request-timeout", "Anropet kom inte fram i tid", "Request timeout",
        "Hela innehållet kom inte inom tio sekunder. Skicka det igen.",
        "The whole body did not arrive within ten seconds. Send it again.";
    KeyInUse = 409 "key-in-use", "Nyckeln används just nu", "Key in use",
        "Ett anrop med samma Idempotency-Key pågår. Vänta en sekund och skicka samma anrop igen.",
        "A request with the same Idempotency-Key is under way. Wait a second and send the same request again.";
    SecretAlreadyShown = 409 "secret-already-shown", "Hemligheten har redan visats", "Secret already shown",
        "Anropet är redan utfört, och hemligheten visades då. Location pekar på det som skapades; saknar du hemligheten, skapa en ny.",
        "The request has been done already, and the secret was shown then. Location is what was created; if you lack the secret, make a new one.";
    ApiClientEnded = 409 "api-client-ended", "API-klienten är avslutad", "API client ended",
        "Klienten har avslutats och kan inte ändras. Skapa en ny.",
        "The client has been ended and cannot be changed. Make a new one.";
    NotCompliant = 409 "not-compliant", "Planeringen är inte klar", "Not compliant yet",
        "Evenemanget kan inte bekräftas än. Varje öppen punkt står i errors, med vad som behövs.",
        "The event cannot be confirmed yet. Each open finding stands in errors, with what it needs.";
    TooLate = 409 "too-late", "För sent", "Too late",
        "Evenemanget har redan börjat, så detta går inte längre. När det är slut kan det markeras som genomfört.",
        "The event has started already, so this can no longer be done. Once it has ended it can be marked as held.";
    NotEnded = 409 "not-ended", "Inte slut än", "Not ended yet",
        "Det sista tillfället har inte slutat. Markera evenemanget som genomfört efteråt.",
        "The last occasion has not ended. Mark the event as held afterwards.";
    StatusChangeNotAllowed = 409 "status-change-not-allowed", "Statusbytet går inte", "Status change not allowed",
        "Evenemanget kan inte gå från sin nuvarande status till den begärda. Läs det igen och se dess status.",
        "The event cannot go from its present status to the one asked for. Read it again and see its status.";
    FollowUpsOpen = 409 "follow-ups-open", "Uppföljningen är inte klar", "Follow-ups still open",
        "Alla uppföljningar ska vara gjorda eller eftergivna, och minst en ska finnas, innan evenemanget avslutas.",
        "Every follow-up must be completed or waived, and there must be one, before the event is closed.";
    NotEditableInStatus = 409 "not-editable-in-status", "Kan inte ändras i den här statusen", "Not editable in this status",
        "Fältet kan inte ändras i evenemangets status. Planera om det, eller ändra bara det som går.",
        "The field cannot be changed in the event's status. Replan it, or change only what can be changed.";
    StillInUse = 409 "still-in-use", "Används fortfarande", "Still in use",
        "En enhet, ett uppdrag, ett beslut som redan är fattat eller ett kommande tillfälle behöver detta. Avsluta eller flytta det först, eller välj en senare dag.",
        "A unit, an appointment, a decision already taken or a future occasion needs this. End or move that first, or choose a later day.";
    AnsweredByFollowUps = 409 "answered-by-follow-ups", "Besvaras med uppföljningar", "Answered by follow-ups",
        "Frågan besvaras genom att planera en uppföljning: POST /events/{eventId}/follow-ups.",
        "The question is answered by planning a follow-up: POST /events/{eventId}/follow-ups.";
    NotAsked = 409 "not-asked", "Frågan ställs inte", "Not asked",
        "Lokalvalet behöver ingen motivering just nu. Ändra lokalen först, om det är den som ska motiveras.",
        "The choice of venue needs no reason at present. Change the venue first if that is what needs one.";
    AlreadyExists = 409 "already-exists", "Finns redan", "Already exists",
        "Det finns redan en post med samma värde. Ändra den i stället.",
        "There is one with the same value already. Change that one instead.";
    OfficeTaken = 409 "office-taken", "Uppdraget har redan en ordinarie innehavare", "Office already held",
        "Uppdraget har en ordinarie innehavare under de dagarna. Avsluta det först, eller välj acting.",
        "The office has an ordinary holder on those days. End that appointment first, or choose acting.";
    StaleRevision = 412 "stale-revision", "Ändrad av någon annan", "Stale revision",
        "Posten har ändrats sedan du läste den, eller finns redan och skulle bara skapas (If-None-Match: *). Läs den igen och gör om ändringen med dess nya ETag.",
        "It has been changed since you read it, or exists already and was only to be created (If-None-Match: *). Read it again and repeat the change with its new ETag.";
    BodyTooLarge = 413 "body-too-large", "För stort innehåll", "Body too large",
        "Innehållet är större än 64 KiB. Korta det.",
        "The body is larger than 64 KiB. Shorten it.";
    UriTooLong = 414 "uri-too-long", "För lång adress", "URI too long",
        "Adressen är längre än 8 KiB. Använd färre eller kortare parametrar.",
        "The address is longer than 8 KiB. Use fewer or shorter parameters.";
    TooManyRequests = 429 "too-many-requests", "För många anrop", "Too many requests",
        "Vänta så många sekunder som Retry-After anger, och sprid anropen. Behövs de så tätt, be den som driver tjänsten att höja gränsen.",
        "Wait for as many seconds as Retry-After says, and spread the requests. If you need that many, ask those who run the service for a higher limit.";
    UnsupportedMediaType = 415 "unsupported-media-type", "Fel innehållstyp", "Unsupported media type",
        "Skicka innehållet som application/json (PATCH även application/merge-patch+json), i UTF-8 och okomprimerat.",
        "Send the body as application/json (PATCH also application/merge-patch+json), in UTF-8 and not compressed.";
    InvalidBody = 422 "invalid-body", "Innehållet följer inte formen", "Invalid body",
        "Ett eller flera fält är fel; errors pekar ut dem och säger vad som väntades.",
        "One or more fields are wrong; errors points at them and says what was expected.";
    PersonalNumber = 422 "personal-number", "Personnummer tas inte emot", "Personal number refused",
        "Fältet innehåller något som ser ut som ett personnummer eller samordningsnummer. Ta bort det; använd personreferenser.",
        "The field holds what looks like a Swedish personal identity number. Remove it; use person references.";
    InvalidPeriod = 422 "invalid-period", "Perioden slutar innan den börjar", "Period ends before it starts",
        "validTo är den första dag som inte längre gäller och ska ligga efter validFrom.",
        "validTo is the first day no longer valid and must lie after validFrom.";
    ImmutableField = 422 "immutable-field", "Fältet kan inte ändras", "Immutable field",
        "Fältet sätts en gång. Avsluta posten med validTo och skapa en ny.",
        "The field is set once. End the record with validTo and create a new one.";
    UnitMisplaced = 422 "unit-misplaced", "Enheten passar inte där", "Unit misplaced",
        "Roten är en enda municipality; department, company och partlyOwnedCompany ligger direkt under den, unit under department, company eller unit.",
        "The only root is one municipality; department, company and partlyOwnedCompany lie right below it, a unit below a department, company or unit.";
    OfficeMisplaced = 422 "office-misplaced", "Uppdraget passar inte enheten", "Office misplaced",
        "municipalDirector hör till kommunen, departmentHead till en förvaltning och chiefExecutive till ett bolag.",
        "municipalDirector belongs to the municipality, departmentHead to a department and chiefExecutive to a company.";
    OutsideValidity = 422 "outside-validity", "Utanför giltighetstiden", "Outside validity",
        "Det som posten bygger på gäller inte alla de dagarna. Välj dagar inom dess validFrom och validTo.",
        "What the record builds on is not valid on all those days. Choose days within its validFrom and validTo.";
    UnknownUnit = 422 "unknown-unit", "Okänd enhet", "Unknown unit",
        "Enheten finns inte. Hämta enheterna med GET /units.",
        "There is no such unit. List the units with GET /units.";
    UnknownPerson = 422 "unknown-person", "Okänd person", "Unknown person",
        "Personen finns inte. Hämta personerna med GET /people eller lägg till personen först.",
        "There is no such person. List people with GET /people or add the person first.";
    UnknownVenue = 422 "unknown-venue", "Okänd lokal", "Unknown venue",
        "Lokalen finns inte eller gäller inte den dagen. Hämta lokalerna med GET /venues.",
        "There is no such venue, or it is not valid on that day. List the venues with GET /venues.";
    UnknownGoal = 422 "unknown-goal", "Okänt mål", "Unknown goal",
        "Målet finns inte. Verksamhetsmålen finns på GET /business-goals, riktlinjens mål i evenemangets riktlinjeversion.",
        "There is no such goal. Business goals are at GET /business-goals, the guideline's in the event's guideline version.";
    UnknownOccasion = 422 "unknown-occasion", "Okänt tillfälle", "Unknown occasion",
        "Tillfällets id hör inte till evenemanget. Utelämna id för ett nytt tillfälle.",
        "The occasion's id does not belong to the event. Leave id out for a new occasion.";
    OutsideGuideline = 422 "outside-guideline", "Utanför riktlinjen: inget godkännande behövs", "Outside the guideline: no approval is needed",
        "Detta omfattas inte av riktlinjen och ska inte registreras. Inget godkännande behövs; genomför det gärna.",
        "The guideline does not cover this, and it is not to be registered. No approval is needed; go ahead.";
    UnitNotCovered = 422 "unit-not-covered", "Enheten omfattas inte", "Unit not covered",
        "En arrangerande enhet tillhör inte kommunkoncernen de dagarna. Välj en enhet i koncernen.",
        "An organising unit is not part of the municipal group on those dates. Choose a unit of the group.";
    NothingToReport = 409 "nothing-to-report", "Inget att anmäla", "Nothing to report",
        "Alla nämndens delegationsbeslut under perioden är redan anmälda, eller så finns inga. Kontrollera nämnd och period.",
        "All of the board's delegated decisions of the period have been reported, or there are none. Check board and period.";
    OwnRequest = 403 "own-request", "Eget ärende", "Own request",
        "Den som ber om undantag eller ansvarar för evenemanget beslutar inte om det. Någon annan med rätt ämbete gör det.",
        "Who asks for the exception or answers for the event does not decide it. Someone else with the right office does.";
    WrongOffice = 403 "wrong-office", "Fel ämbete", "Wrong office",
        "Det här undantaget beslutas av andra ämbeten; errors säger vilka. Lämna ärendet till dem.",
        "This exception is decided by other offices; errors names them. Leave it to them.";
    AlreadyDecided = 409 "already-decided", "Redan beslutat", "Already decided",
        "Beslutet är taget; errors säger av vem och när. Ett nytt undantag begärs med previousRequestId.",
        "The decision is taken; errors says by whom and when. A new exception is asked for with previousRequestId.";
    RequestNotOpen = 409 "request-not-open", "Begäran är inte öppen", "Request not open",
        "Begäran är återtagen, återkallad eller förfallen. Skicka en ny om undantaget fortfarande behövs.",
        "The request is withdrawn, revoked or lapsed. Submit a new one if the exception is still needed.";
    RequestOpen = 409 "request-open", "Begäran finns redan", "Request already open",
        "Det finns en öppen begäran om undantag från en av reglerna. Invänta beslutet eller återta den först.",
        "There is an open request for an exception from one of the rules. Await its decision or withdraw it first.";
    RequestNotApproved = 409 "request-not-approved", "Inte godkänd", "Not approved",
        "Bara ett godkänt undantag kan återkallas. Läs begäran igen och se dess status.",
        "Only an approved exception can be revoked. Read the request again and see its status.";
    EventChanged = 409 "event-changed", "Evenemanget har ändrats", "Event changed",
        "Evenemanget är inte längre det som begäran gällde; errors säger vad som skiljer, och begärans snapshot hur det var. Ändra tillbaka det eller skicka en ny begäran, som tar den gamlas plats.",
        "The event is no longer what the request was about; errors says what differs, and the request's snapshot how it was. Change it back or submit a new request, which takes the place of this one.";
    DecidedElsewhere = 409 "decided-elsewhere", "Beslutas utanför tjänsten", "Decided elsewhere",
        "Ingen i tjänsten får besluta om detta. Beslutet tas utanför den, och HR registrerar det med recorded-decision.",
        "Nobody in the service may decide this. It is decided outside, and HR records it with recorded-decision.";
    NotDecidedElsewhere = 409 "not-decided-elsewhere", "Beslutas i tjänsten", "Decided in the service",
        "Begäran beslutas av ämbeten i tjänsten och kan inte registreras. Se requiredApprovals.",
        "The request is decided by offices in the service and cannot be recorded. See requiredApprovals.";
    NoGuideline = 409 "no-guideline", "Ingen gällande riktlinje", "No guideline in force",
        "Ingen riktlinjeversion gäller i dag. Lägg in en version vars validFrom inte ligger framåt i tiden.",
        "No guideline version is in force today. Post a version whose validFrom is not in the future.";
    SeveralOffices = 422 "several-offices", "Flera ämbeten", "Several offices",
        "Du har flera ämbeten som kan besluta. Ange vilket med officeAppointmentId.",
        "You hold several offices that may decide. Name one with officeAppointmentId.";
    ConflictOfInterest = 422 "conflict-of-interest", "Jäv", "Conflict of interest",
        "Den som är jävig beslutar inte. Intyga med true att du inte är det, eller lämna beslutet till någon annan.",
        "Who has a conflict of interest does not decide. Attest with true that you have none, or leave it to someone else.";
    WebhookAddressRefused = 422 "webhook-address-refused", "Webhookens adress godtas inte", "Webhook address refused",
        "Webhookar skickas bara till publika https-adresser, och till nät som driften tillåter. Välj en annan adress.",
        "Webhooks are sent only to public https addresses, and to networks that operations allow. Choose another address.";
    NoExceptionNeeded = 422 "no-exception-needed", "Inget undantag behövs", "No exception needed",
        "Regeln är uppfylld, gäller inte eller har redan undantag. Ta bort den ur ruleIds.",
        "The rule is met, does not apply or is covered already. Remove it from ruleIds.";
    UnknownRule = 422 "unknown-rule", "Okänd regel", "Unknown rule",
        "Regeln finns inte i evenemangets riktlinjeversion. Se GET /events/{eventId}/compliance.",
        "The event's guideline version has no such rule. See GET /events/{eventId}/compliance.";
    UnknownExceptionRequest = 422 "unknown-exception-request", "Okänd begäran", "Unknown exception request",
        "Det finns ingen sådan tidigare begäran för evenemanget. Utelämna previousRequestId.",
        "There is no such earlier request about the event. Leave previousRequestId out.";
    AddresseeNotConcerned = 422 "addressee-not-concerned", "Mottagaren berörs inte", "Addressee not concerned",
        "Ingen arrangerande enhet har ett sådant ämbete över sig. Välj ett som berörs, eller municipalDirector.",
        "No organising unit has such an office above it. Choose one that is concerned, or municipalDirector.";
    NeededTooLate = 422 "needed-too-late", "Beslutet behövs för sent", "Needed too late",
        "decisionNeededBy får inte ligga efter evenemangets första dag. Välj en tidigare dag.",
        "decisionNeededBy may not lie after the event's first day. Choose an earlier day.";
    DecidedOutOfTime = 422 "decided-out-of-time", "Beslutat vid fel tid", "Decided out of time",
        "Beslutet ska vara taget före nu och före evenemangets början. Kontrollera decidedAt.",
        "The decision must have been taken before now and before the event starts. Check decidedAt.";
    FollowUpNotOpen = 409 "follow-up-not-open", "Uppföljningen är inte öppen", "Follow-up not open",
        "Uppföljningen är redan gjord, eftergiven eller inställd. Läs den igen; planera en ny om mer ska följas upp.",
        "The follow-up is completed, waived or cancelled already. Read it again; plan a new one if more is to be followed up.";
    NotHeld = 409 "not-held", "Inte genomfört än", "Not held yet",
        "Evenemanget är inte markerat som genomfört. Gör det först: POST /events/{eventId}/status-changes med held.",
        "The event is not marked as held. Do that first: POST /events/{eventId}/status-changes with held.";
    LastFollowUp = 409 "last-follow-up", "Den enda uppföljningen", "The only follow-up",
        "Evenemanget skulle bli utan uppföljning av sin effekt. Planera en annan först: POST /events/{eventId}/follow-ups.",
        "The event would be left without a follow-up of its effect. Plan another first: POST /events/{eventId}/follow-ups.";
    WaiveInstead = 409 "waive-instead", "Kan bara efterges", "Can only be waived",
        "Ett genomfört evenemang behåller sina uppföljningar. HR kan efterge den med en motivering: POST /follow-ups/{followUpId}/waiver.",
        "An event that was held keeps its follow-ups. HR may waive it with a reason: POST /follow-ups/{followUpId}/waiver.";
    AlreadyVoided = 409 "already-voided", "Redan makulerad", "Already voided",
        "Anteckningen är redan makulerad. Skriv en ny om något ska rättas.",
        "The entry is voided already. Write a new one if something is to be corrected.";
    EventClosed = 409 "event-closed", "Evenemanget är avslutat", "Event closed",
        "I ett avslutat evenemang makuleras inget. HR kan öppna det igen med en motivering: POST /events/{eventId}/status-changes med held.",
        "Nothing is voided in a closed event. HR may reopen it with a reason: POST /events/{eventId}/status-changes with held.";
    ConductedOutOfTime = 422 "conducted-out-of-time", "Uppföljd vid fel tid", "Conducted out of time",
        "conductedOn är dagen då uppföljningen gjordes: evenemangets första dag tidigast och i dag senast.",
        "conductedOn is the day on which the follow-up was done: the event's first day at the earliest and today at the latest.";
    DueBeforeEvent = 422 "due-before-event", "Uppföljning före evenemanget", "Due before the event",
        "Uppföljningens dag får inte ligga före det sista tillfället. Välj en senare dag eller utelämna dueDate.",
        "A follow-up may not be due before the last occasion. Choose a later day or leave dueDate out.";
    KeyReused = 422 "key-reused", "Nyckeln har använts till annat", "Key reused",
        "Samma Idempotency-Key har använts till ett annat anrop. Använd en ny nyckel för varje nytt ärende.",
        "The same Idempotency-Key was used for another request. Use a new key for each new thing.";
    IfMatchRequired = 428 "if-match-required", "If-Match saknas", "If-Match required",
        "Läs posten och skicka dess ETag i huvudfältet If-Match, så att ingen annans ändring går förlorad.",
        "Read the record and send its ETag in the header If-Match, so that nobody else's change is lost.";
    HeadersTooLarge = 431 "headers-too-large", "För stora huvudfält", "Headers too large",
        "Huvudfälten är fler än 64 eller större än 16 KiB tillsammans. Skicka färre.",
        "There are more than 64 headers or more than 16 KiB of them. Send fewer.";
    InternalError = 500 "internal-error", "Fel i tjänsten", "Internal error",
        "Något gick fel hos oss. Försök igen, och uppge requestId till den som sköter tjänsten om det upprepas.",
        "Something went wrong on our side. Try again, and give requestId to the operator if it happens again.";
    IdentityProviderUnavailable = 503 "identity-provider-unavailable", "Identitetsleverantören är inte tillgänglig", "Identity provider unavailable",
        "Tjänsten har inte kunnat hämta identitetsleverantörens nycklar sedan den startade. Vänta så länge som Retry-After säger och skicka samma anrop igen.",
        "The service has not been able to fetch the identity provider's keys since it started. Wait as long as Retry-After says and send the same request again.";
    DatabaseUnavailable = 503 "database-unavailable", "Databasen är inte tillgänglig", "Database unavailable",
        "Ingenting har skrivits. Vänta så länge som Retry-After säger och skicka samma anrop igen.",
        "Nothing was written. Wait as long as Retry-After says and send the same request again.";
    OutcomeUnknown = 503 "outcome-unknown", "Utfallet är okänt", "Outcome unknown",
        "Ändringen kan ha sparats. Skicka samma anrop igen med samma Idempotency-Key, eller läs efter först.",
        "The change may have been saved. Send the same request again with the same Idempotency-Key, or read first.";
}
