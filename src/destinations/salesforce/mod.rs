//! Salesforce: calls become Tasks.
use super::DestinationKind;
pub const KIND: DestinationKind =
    DestinationKind { name: "salesforce", about: "Tasks (and Leads) in a Salesforce org" };
