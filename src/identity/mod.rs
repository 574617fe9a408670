//! Who is asking: the actor of a request, a person or an integration, known from its bearer token (RFC 6750) before any database
//! thread is taken.
//!
//! A token says the person (`sub`, the personRef), the roles and the units of those roles. Offices are never taken from a token:
//! being director, head or CEO comes only from office appointments (domain section 5).

pub mod clients;
pub mod handlers;
pub mod providers;
mod remembered;
pub mod tokens;

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use diesel::pg::PgConnection;
use uuid::Uuid;

use crate::error::{At, Code, Error, FieldError};
use crate::guideline::Text;
use crate::http::call::Call;
use crate::organisation::appointments;
use crate::organisation::people::{self, Person};
use crate::rules::access::{self, Access, Action, Asker, Reach, Reading, Role, Scope};

/// What the change log calls the service itself; no token can.
const SYSTEM: &str = "system";
/// What the change log calls an integration: this and the id of its API client; no token can.
const CLIENT: &str = "client:";

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    Person(Identity),
    /// A machine with a credential of its own: an HR system, a booking system.
    Integration(Arc<Integration>),
    /// The service itself, which stores the built-in guideline version.
    System,
}

/// A person as the identity provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The identity provider's person claim.
    pub person_ref: String,
    pub roles: BTreeSet<Role>,
    /// The units that the roles are for; one list for all of them.
    pub units: BTreeSet<Uuid>,
}

/// An API client as its credential identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    pub client_id: Uuid,
    /// What it is called in the change log and wherever a person would be named.
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    /// The units that its scopes reach, with those below them; none: the whole group.
    pub units: Option<BTreeSet<Uuid>>,
    /// The one source system whose external ids it may read and write.
    pub source_system: String,
}

impl Integration {
    pub fn new(
        client_id: Uuid,
        scopes: BTreeSet<Scope>,
        units: Option<BTreeSet<Uuid>>,
        source_system: String,
    ) -> Integration {
        Integration {
            name: format!("{CLIENT}{client_id}"),
            client_id,
            scopes,
            units,
            source_system,
        }
    }
}

impl Actor {
    /// What the change log calls the caller: a personRef, `client:` and the client's id, or `system`.
    pub fn name(&self) -> &str {
        match self {
            Actor::Person(identity) => &identity.person_ref,
            Actor::Integration(integration) => &integration.name,
            Actor::System => SYSTEM,
        }
    }

    /// The integration, when a machine asks.
    pub fn integration(&self) -> Option<&Integration> {
        match self {
            Actor::Integration(integration) => Some(integration),
            _ => None,
        }
    }

    pub fn has_role(&self, role: Role) -> bool {
        matches!(self, Actor::Person(identity) if identity.roles.contains(&role))
    }

    /// What the rules of access need to know of the caller: the token's facts and the units of the offices held.
    pub fn asker(&self, office_units: impl IntoIterator<Item = Uuid>) -> Asker {
        match self {
            Actor::Person(identity) => Asker::Person {
                person_ref: identity.person_ref.clone(),
                roles: identity.roles.clone(),
                units: identity.units.clone(),
                office_units: office_units.into_iter().collect(),
            },
            Actor::Integration(integration) => Asker::Integration {
                scopes: integration.scopes.clone(),
                units: integration.units.clone(),
            },
            // it asks nothing of the rules of access, and they would give it nothing
            Actor::System => Asker::Integration {
                scopes: BTreeSet::new(),
                units: None,
            },
        }
    }
}

impl Call {
    /// Who stands as the author of what the call writes: the person it is made on behalf of, else the caller.
    pub fn author(&self) -> &str {
        self.on_behalf_of
            .as_deref()
            .unwrap_or_else(|| self.actor.name())
    }

    /// The caller with the offices held today.
    pub fn asker(&self, conn: &mut PgConnection) -> Result<Asker, Error> {
        let Actor::Person(identity) = &*self.actor else {
            return Ok(self.actor.asker([]));
        };
        let offices = appointments::queries::held_by(conn, &identity.person_ref, self.today())?;
        Ok(self
            .actor
            .asker(offices.into_iter().map(|office| office.unit_id)))
    }

    /// The call with its author (domain section 7), once the caller, and the person it names, may do this; 403 or 404 otherwise.
    ///
    /// An integration that asks for an exception or writes an entry names the person whose it is, `onBehalfOf` in the body: 422 without,
    /// 422 `unknown-person` when there is no such person or they have left, 403 when the person may not do it. A person acts in their own
    /// name; only an HR administrator logs a follow-up on behalf of another, whose own rights are not asked for, since HR's suffice.
    /// The change log keeps both.
    pub fn authored(
        &self,
        conn: &mut PgConnection,
        on_behalf_of: Option<&str>,
        action: Action<'_>,
    ) -> Result<Call, Error> {
        permitted(&self.asker(conn)?, action)?;
        let is_machine = self.actor.integration().is_some();
        let Some(person_ref) = on_behalf_of else {
            return if is_machine {
                Err(on_behalf_of_required())
            } else {
                Ok(self.clone())
            };
        };
        let logs_as_hr = matches!(action, Action::LogFollowUp { .. })
            && self.actor.has_role(Role::HrAdministrator);
        if !is_machine && !logs_as_hr {
            return Err(
                Error::at_pointer(Code::Forbidden, "/onBehalfOf").detail(Text::new(
                    "Du gör det här i eget namn. Ta bort onBehalfOf.",
                    "You do this in your own name. Remove onBehalfOf.",
                )),
            );
        }
        let person = people::queries::present(conn, person_ref, self.today())?
            .ok_or_else(|| Error::at_pointer(Code::UnknownPerson, "/onBehalfOf"))?;
        if is_machine {
            let own = self.asker_from_organisation(conn, &person)?;
            if access::may(&own, action) != Access::Allowed {
                return Err(Error::at_pointer(Code::Forbidden, "/onBehalfOf").detail(Text::new(
                    "Personen i onBehalfOf har inte själv rätt till detta. Låt någon göra det som planerar för enheten, leder den eller ansvarar för evenemanget.",
                    "The person in onBehalfOf has no right to this. Leave it to someone who plans for the unit, heads it or is responsible for the event.",
                )));
            }
        }
        Ok(Call {
            on_behalf_of: Some(person.person_ref),
            ..self.clone()
        })
    }

    /// A person with the rights that the service knows of without their token: offices by appointment, what they are responsible for, and
    /// planning for the unit where they work. Roles stand in tokens alone, and the system that speaks for the person vouches for the rest.
    fn asker_from_organisation(
        &self,
        conn: &mut PgConnection,
        person: &Person,
    ) -> Result<Asker, Error> {
        let offices = appointments::queries::held_by(conn, &person.person_ref, self.today())?;
        Ok(Asker::Person {
            person_ref: person.person_ref.clone(),
            roles: [Role::Employee, Role::Planner].into(),
            units: [person.unit_id].into(),
            office_units: offices.into_iter().map(|office| office.unit_id).collect(),
        })
    }

    /// 403 or 404 unless the caller may do this by role alone; for what no office gives a right to.
    pub fn may(&self, action: Action<'_>) -> Result<(), Error> {
        permitted(&self.actor.asker([]), action)
    }

    /// 403 or 404 unless the caller may do this by role or office.
    ///
    /// An office only ever adds a right, so it is looked up only when the token alone gives none.
    pub fn may_with_offices(
        &self,
        conn: &mut PgConnection,
        action: Action<'_>,
    ) -> Result<(), Error> {
        self.may(action)
            .or_else(|_| permitted(&self.asker(conn)?, action))
    }

    /// What a list of this kind may show the caller; offices are looked up only when the token alone does not show everything.
    pub fn reach(&self, conn: &mut PgConnection, reading: Reading) -> Result<Reach, Error> {
        match access::reach(&self.actor.asker([]), reading) {
            Reach::Everything => Ok(Reach::Everything),
            Reach::Part { .. } => Ok(access::reach(&self.asker(conn)?, reading)),
        }
    }
}

/// A caller who may read the organisation and the guideline: every person, and the integrations whose scope says so.
#[derive(Debug)]
pub struct Reader;

impl FromRequest for Reader {
    type Error = Error;
    type Future = Ready<Result<Reader, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let call = Call::from_request(request, payload).into_inner();
        ready(call.and_then(|call| call.may(Action::ReadOrganisation).map(|()| Reader)))
    }
}

/// The verdict of the rules of access as an error.
pub fn permitted(asker: &Asker, action: Action<'_>) -> Result<(), Error> {
    match access::may(asker, action) {
        Access::Allowed => Ok(()),
        Access::Forbidden => Err(Error::new(Code::Forbidden)),
        Access::Hidden => Err(Error::new(Code::NotFound)),
    }
}

/// 422: a machine does this for a person only, and must say for whom.
fn on_behalf_of_required() -> Error {
    Error::new(Code::InvalidBody).with(FieldError {
        at: At::Pointer("/onBehalfOf".to_owned()),
        code: "required".to_owned(),
        detail: Text::new(
            "En integration gör detta åt en person. Ange personens personRef.",
            "An integration does this for a person. Give the person's personRef.",
        ),
    })
}
