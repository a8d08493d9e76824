//! The standard objects, one table each, one line a field: name, label, type, size, properties.
//!
//! Properties: `C` create, `U` update, `F` filter, `S` sort, `G` group, `r` required, `a` always filled by the server,
//! `x` restricted picklist, `i` indexed by the simulator, `n` the name field. From the object reference.

use super::Kind::{self, *};

pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) label_plural: &'static str,
    pub(super) prefix: &'static str,
    pub(super) writable: bool,
    pub(super) columns: &'static [Column],
}

pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: Kind,
    pub(super) size: u32,
    pub(super) flags: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) values: &'static [&'static str],
    pub(super) targets: &'static [&'static str],
    pub(super) relationship: Option<&'static str>,
}

const fn column(name: &'static str, label: &'static str, kind: Kind, size: u32, flags: &'static str) -> Column {
    Column { name, label, kind, size, flags, default: None, values: &[], targets: &[], relationship: None }
}

impl Column {
    const fn or(self, default: &'static str) -> Column {
        Column { default: Some(default), ..self }
    }

    const fn one_of(self, values: &'static [&'static str]) -> Column {
        Column { values, ..self }
    }

    const fn to(self, relationship: &'static str, targets: &'static [&'static str]) -> Column {
        Column { relationship: Some(relationship), targets, ..self }
    }
}

/// The fields every object has.
pub(super) const SYSTEM: &[Column] = &[
    column("Id", "Record ID", Id, 18, "FSGa"),
    column("IsDeleted", "Deleted", Boolean, 0, "FSG"),
    column("CreatedDate", "Created Date", DateTime, 0, "FSa"),
    column("CreatedById", "Created By ID", Reference, 18, "FSGa").to("CreatedBy", &["User"]),
    column("LastModifiedDate", "Last Modified Date", DateTime, 0, "FSa"),
    column("LastModifiedById", "Last Modified By ID", Reference, 18, "FSGa").to("LastModifiedBy", &["User"]),
    column("SystemModstamp", "System Modstamp", DateTime, 0, "FSa"),
];

pub(super) const OBJECTS: &[Table] = &[
    table("Account", "Accounts", "001", ACCOUNT),
    table("Contact", "Contacts", "003", CONTACT),
    table("Lead", "Leads", "00Q", LEAD),
    table("Opportunity", "Opportunities", "006", OPPORTUNITY),
    table("Case", "Cases", "500", CASE),
    table("Task", "Tasks", "00T", TASK),
    table("Event", "Events", "00U", EVENT),
    Table { writable: false, ..table("User", "Users", "005", USER) },
    Table { writable: false, ..table("Organization", "Organizations", "00D", ORGANIZATION) },
    Table {
        name: "TaskStatus",
        writable: false,
        ..table("Task Status Value", "Task Status Values", "01J", TASK_STATUS)
    },
];

const fn table(
    name: &'static str,
    label_plural: &'static str,
    prefix: &'static str,
    columns: &'static [Column],
) -> Table {
    Table { name, label: name, label_plural, prefix, writable: true, columns }
}

const OWNER: Column = column("OwnerId", "Owner ID", Reference, 18, "CUFSGa").to("Owner", &["User"]);

const TASK: &[Column] = &[
    column("WhoId", "Name ID", Reference, 18, "CUFSGi").to("Who", &["Contact", "Lead"]),
    column("WhatId", "Related To ID", Reference, 18, "CUFSGi").to("What", &["Account", "Opportunity", "Case"]),
    column("AccountId", "Account ID", Reference, 18, "FSGi").to("Account", &["Account"]),
    column("Subject", "Subject", Combobox, 255, "CUFSi").one_of(&[
        "Call",
        "Email",
        "Send Letter",
        "Send Quote",
        "Other",
    ]),
    column("Description", "Description", LongText, 32_000, "CU"),
    column("Status", "Status", Picklist, 255, "CUFSG").or("Not Started").one_of(&[
        "Not Started",
        "In Progress",
        "Completed",
        "Waiting on someone else",
        "Deferred",
    ]),
    column("Priority", "Priority", Picklist, 255, "CUFSG").or("Normal").one_of(&["High", "Normal", "Low"]),
    column("ActivityDate", "Due Date Only", Date, 0, "CUFSG"),
    column("CompletedDateTime", "Completed Date/Time", DateTime, 0, "FS"),
    OWNER,
    column("Type", "Type", Picklist, 255, "CUFSG").one_of(&["Call", "Email", "Meeting", "Other"]),
    column("TaskSubtype", "Task Subtype", Picklist, 40, "CFSGx").or("Task").one_of(&[
        "Task",
        "Email",
        "LinkedIn",
        "ListEmail",
        "Cadence",
        "Call",
    ]),
    column("CallType", "Call Type", Picklist, 40, "CUFSGx").one_of(&["Internal", "Inbound", "Outbound"]),
    column("CallDisposition", "Call Result", Text, 255, "CUFSG"),
    column("CallDurationInSeconds", "Call Duration", Int, 8, "CUFSG"),
    column("CallObject", "Call Object Identifier", Text, 255, "CUFSGi"),
    column("IsClosed", "Closed", Boolean, 0, "FSG"),
    column("IsHighPriority", "High Priority", Boolean, 0, "FSG"),
    column("IsArchived", "Archived", Boolean, 0, "FSG"),
    column("IsReminderSet", "Reminder Set", Boolean, 0, "CUFSG"),
    column("ReminderDateTime", "Reminder Date/Time", DateTime, 0, "CUFS"),
    column("IsVisibleInSelfService", "Visible in Self-Service", Boolean, 0, "CUFSG"),
    column("IsRecurrence", "Create Recurring Series of Tasks", Boolean, 0, "CFSG"),
];

const EVENT: &[Column] = &[
    column("WhoId", "Name ID", Reference, 18, "CUFSGi").to("Who", &["Contact", "Lead"]),
    column("WhatId", "Related To ID", Reference, 18, "CUFSGi").to("What", &["Account", "Opportunity", "Case"]),
    column("AccountId", "Account ID", Reference, 18, "FSGi").to("Account", &["Account"]),
    column("Subject", "Subject", Combobox, 255, "CUFS").one_of(&["Call", "Email", "Meeting", "Other"]),
    column("Description", "Description", LongText, 32_000, "CU"),
    column("StartDateTime", "Start Date Time", DateTime, 0, "CUFS"),
    column("EndDateTime", "End Date Time", DateTime, 0, "CUFS"),
    column("DurationInMinutes", "Duration", Int, 8, "CUFS"),
    column("ActivityDate", "Due Date Only", Date, 0, "CUFSG"),
    column("Type", "Type", Picklist, 255, "CUFSG").one_of(&["Call", "Email", "Meeting", "Other"]),
    column("IsArchived", "Archived", Boolean, 0, "FSG"),
    OWNER,
];

const CONTACT: &[Column] = &[
    column("AccountId", "Account ID", Reference, 18, "CUFSGi").to("Account", &["Account"]),
    column("LastName", "Last Name", Text, 80, "CUFSGr"),
    column("FirstName", "First Name", Text, 40, "CUFSG"),
    column("Salutation", "Salutation", Picklist, 40, "CUFSG").one_of(&["Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx."]),
    column("Name", "Full Name", Text, 121, "FSGan"),
    column("Email", "Email", Email, 80, "CUFSGi"),
    column("Phone", "Business Phone", Phone, 40, "CUFSGi"),
    column("MobilePhone", "Mobile Phone", Phone, 40, "CUFSGi"),
    column("HomePhone", "Home Phone", Phone, 40, "CUFSGi"),
    column("OtherPhone", "Other Phone", Phone, 40, "CUFSGi"),
    column("AssistantPhone", "Asst. Phone", Phone, 40, "CUFSGi"),
    column("Fax", "Business Fax", Phone, 40, "CUFSG"),
    column("Title", "Title", Text, 128, "CUFSG"),
    column("Department", "Department", Text, 80, "CUFSG"),
    column("LeadSource", "Lead Source", Picklist, 255, "CUFSG").one_of(LEAD_SOURCES),
    column("MailingStreet", "Mailing Street", LongText, 255, "CUFSG"),
    column("MailingCity", "Mailing City", Text, 40, "CUFSG"),
    column("MailingState", "Mailing State/Province", Text, 80, "CUFSG"),
    column("MailingPostalCode", "Mailing Zip/Postal Code", Text, 20, "CUFSG"),
    column("MailingCountry", "Mailing Country", Text, 80, "CUFSG"),
    column("Description", "Contact Description", LongText, 32_000, "CU"),
    OWNER,
];

const LEAD: &[Column] = &[
    column("LastName", "Last Name", Text, 80, "CUFSGr"),
    column("FirstName", "First Name", Text, 40, "CUFSG"),
    column("Salutation", "Salutation", Picklist, 40, "CUFSG").one_of(&["Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx."]),
    column("Name", "Full Name", Text, 121, "FSGan"),
    column("Title", "Title", Text, 128, "CUFSG"),
    column("Company", "Company", Text, 255, "CUFSGr"),
    column("Email", "Email", Email, 80, "CUFSGi"),
    column("Phone", "Phone", Phone, 40, "CUFSGi"),
    column("MobilePhone", "Mobile Phone", Phone, 40, "CUFSGi"),
    column("Website", "Website", Url, 255, "CUFSG"),
    column("LeadSource", "Lead Source", Picklist, 255, "CUFSG").one_of(LEAD_SOURCES),
    column("Status", "Status", Picklist, 255, "CUFSG").or("Open - Not Contacted").one_of(&[
        "Open - Not Contacted",
        "Working - Contacted",
        "Closed - Converted",
        "Closed - Not Converted",
    ]),
    column("Industry", "Industry", Picklist, 255, "CUFSG"),
    column("Rating", "Rating", Picklist, 255, "CUFSG").one_of(&["Hot", "Warm", "Cold"]),
    column("City", "City", Text, 40, "CUFSG"),
    column("State", "State/Province", Text, 80, "CUFSG"),
    column("Country", "Country", Text, 80, "CUFSG"),
    column("Description", "Description", LongText, 32_000, "CU"),
    column("IsConverted", "Converted", Boolean, 0, "FSG"),
    column("ConvertedDate", "Converted Date", Date, 0, "FSG"),
    column("ConvertedAccountId", "Converted Account ID", Reference, 18, "FSG").to("ConvertedAccount", &["Account"]),
    column("ConvertedContactId", "Converted Contact ID", Reference, 18, "FSG").to("ConvertedContact", &["Contact"]),
    column("ConvertedOpportunityId", "Converted Opportunity ID", Reference, 18, "FSG")
        .to("ConvertedOpportunity", &["Opportunity"]),
    OWNER,
];

const LEAD_SOURCES: &[&str] = &["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"];

const ACCOUNT: &[Column] = &[
    column("Name", "Account Name", Text, 255, "CUFSGrn"),
    column("Type", "Account Type", Picklist, 255, "CUFSG"),
    column("Industry", "Industry", Picklist, 255, "CUFSG"),
    column("Phone", "Account Phone", Phone, 40, "CUFSGi"),
    column("Website", "Website", Url, 255, "CUFSG"),
    column("BillingCity", "Billing City", Text, 40, "CUFSG"),
    column("BillingState", "Billing State/Province", Text, 80, "CUFSG"),
    column("BillingCountry", "Billing Country", Text, 80, "CUFSG"),
    column("Description", "Account Description", LongText, 32_000, "CU"),
    OWNER,
];

const OPPORTUNITY: &[Column] = &[
    column("Name", "Name", Text, 120, "CUFSGrn"),
    column("AccountId", "Account ID", Reference, 18, "CUFSGi").to("Account", &["Account"]),
    column("StageName", "Stage", Picklist, 255, "CUFSGr").one_of(&["Prospecting", "Closed Won", "Closed Lost"]),
    column("CloseDate", "Close Date", Date, 0, "CUFSGr"),
    column("Amount", "Amount", Double, 18, "CUFS"),
    OWNER,
];

const CASE: &[Column] = &[
    column("CaseNumber", "Case Number", Text, 30, "FSGan"),
    column("ContactId", "Contact ID", Reference, 18, "CUFSGi").to("Contact", &["Contact"]),
    column("AccountId", "Account ID", Reference, 18, "CUFSGi").to("Account", &["Account"]),
    column("Subject", "Subject", Text, 255, "CUFSG"),
    column("Description", "Description", LongText, 32_000, "CU"),
    column("Status", "Status", Picklist, 255, "CUFSG").or("New").one_of(&["New", "Working", "Escalated", "Closed"]),
    column("Origin", "Case Origin", Picklist, 255, "CUFSG").one_of(&["Phone", "Email", "Web"]),
    column("Priority", "Priority", Picklist, 255, "CUFSG").or("Medium").one_of(&["High", "Medium", "Low"]),
    column("Type", "Case Type", Picklist, 255, "CUFSG"),
    column("SuppliedName", "Web Name", Text, 80, "CUFSG"),
    column("SuppliedEmail", "Web Email", Email, 80, "CUFSG"),
    column("SuppliedPhone", "Web Phone", Text, 40, "CUFSG"),
    column("SuppliedCompany", "Web Company", Text, 80, "CUFSG"),
    column("IsClosed", "Closed", Boolean, 0, "FSG"),
    OWNER,
];

const USER: &[Column] = &[
    column("Username", "Username", Text, 80, "FSGai"),
    column("LastName", "Last Name", Text, 80, "FSGa"),
    column("FirstName", "First Name", Text, 40, "FSG"),
    column("Name", "Full Name", Text, 121, "FSGan"),
    column("Email", "Email", Email, 128, "FSGi"),
    column("Alias", "Alias", Text, 8, "FSG"),
    column("IsActive", "Active", Boolean, 0, "FSG"),
    column("TimeZoneSidKey", "Time Zone", Picklist, 40, "FSG").or("UTC"),
    column("LocaleSidKey", "Locale", Picklist, 40, "FSG").or("en_US"),
    column("LanguageLocaleKey", "Language", Picklist, 40, "FSG").or("en_US"),
    column("Phone", "Phone", Phone, 40, "FSGi"),
    column("MobilePhone", "Mobile", Phone, 40, "FSGi"),
];

const ORGANIZATION: &[Column] = &[
    column("Name", "Name", Text, 80, "FSGan"),
    column("OrganizationType", "Edition", Picklist, 40, "FSG").or("Enterprise Edition"),
    column("InstanceName", "Instance Name", Text, 5, "FSG").or("SIM1"),
    column("IsSandbox", "Is Sandbox", Boolean, 0, "FSG"),
    column("TimeZoneSidKey", "Time Zone", Picklist, 40, "FSG").or("UTC"),
    column("DefaultLocaleSidKey", "Locale", Picklist, 40, "FSG").or("en_US"),
    column("LanguageLocaleKey", "Language", Picklist, 40, "FSG").or("en_US"),
];

const TASK_STATUS: &[Column] = &[
    column("ApiName", "API Name", Text, 255, "FSGan"),
    column("MasterLabel", "Master Label", Text, 255, "FSGa"),
    column("SortOrder", "Sort Order", Int, 8, "FS"),
    column("IsClosed", "Is Closed", Boolean, 0, "FSG"),
    column("IsDefault", "Is Default", Boolean, 0, "FSG"),
];
