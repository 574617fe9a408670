//! Who is asking: the actor of a request, known from its bearer token (RFC 6750) before any database thread is taken.
//!
//! A token says the person (`sub`, the personRef), the roles and the units of those roles. Offices are never taken from a token:
//! being director, head or CEO comes only from office appointments (domain section 5).

pub mod handlers;
pub mod tokens;

use std::collections::BTreeSet;

use diesel::pg::PgConnection;
use uuid::Uuid;

use crate::error::{Code, Error};
use crate::http::call::Call;
use crate::organisation::appointments;
use crate::rules::access::{self, Access, Action, Asker, Role};

/// What the change log calls the service itself; no token can.
const SYSTEM: &str = "system";

/// The authenticated caller: a person with roles, or the service itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The personRef, the identity provider's person claim.
    pub person: String,
    pub roles: BTreeSet<Role>,
    /// The units that the roles are for; one list for all of them.
    pub units: BTreeSet<Uuid>,
}

impl Actor {
    /// The service itself, which stores the built-in guideline version.
    pub fn system() -> Actor {
        Actor {
            person: SYSTEM.to_owned(),
            roles: BTreeSet::new(),
            units: BTreeSet::new(),
        }
    }

    /// What the rules of access need to know of the caller: the token's facts and the units of the offices held.
    pub fn asker(&self, office_units: impl IntoIterator<Item = Uuid>) -> Asker {
        Asker::Person {
            person_ref: self.person.clone(),
            roles: self.roles.clone(),
            units: self.units.clone(),
            office_units: office_units.into_iter().collect(),
        }
    }
}

impl Call {
    /// The caller with the offices held today.
    pub fn asker(&self, conn: &mut PgConnection) -> Result<Asker, Error> {
        let offices = appointments::queries::held_by(conn, &self.actor.person, self.today())?;
        Ok(self
            .actor
            .asker(offices.into_iter().map(|office| office.unit_id)))
    }

    /// 403 or 404 unless the caller may do this by role alone; for what no office gives a right to.
    pub fn may(&self, action: Action<'_>) -> Result<(), Error> {
        permitted(&self.actor.asker([]), action)
    }

    /// 403 or 404 unless the caller may do this by role or office.
    pub fn may_with_offices(
        &self,
        conn: &mut PgConnection,
        action: Action<'_>,
    ) -> Result<(), Error> {
        permitted(&self.asker(conn)?, action)
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
