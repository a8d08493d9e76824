//! Each stored call: its checksums, and its content by the call's digest.

use super::super::body::Body;
use super::{Check, tell};
use crate::store::{Finding, StoreError};

impl Check<'_> {
    pub(super) fn bodies(&mut self) -> rusqlite::Result<()> {
        let of = self.count("call")?;
        let mut calls = self.connection.prepare("SELECT call_key, source_id FROM call ORDER BY rowid")?;
        let mut rows = calls.query(())?;
        let (mut done, mut without) = (0, 0);
        while let Some(row) = rows.next()? {
            let text = |at| row.get_ref(at).map(|value| String::from_utf8_lossy(value.as_bytes().unwrap_or_default()));
            let (key, id) = (text(0)?, text(1)?);
            let proved = Body::find_as(&self.connection, &key, self.is_old).and_then(|body| {
                without += u64::from(body.is_without_checksum());
                body.prove_content()
            });
            match proved {
                Ok(()) => {}
                Err(StoreError::DamagedCall { cause, .. }) => self.found.find(of_call(&id, cause)),
                Err(error) => self.found.find(of_call(&id, error.to_string())),
            }
            done += 1;
            tell(self.told, "calls", done, of);
        }
        (self.found.checked.calls, self.found.checked.without_checksum) = (done, without);
        Ok(())
    }
}

fn of_call(id: &str, cause: String) -> Finding {
    Finding {
        rule: "call",
        place: format!("session {id}"),
        what: format!("the stored call is damaged: {cause}"),
        help: format!("trunkline retry {id}"),
    }
}
