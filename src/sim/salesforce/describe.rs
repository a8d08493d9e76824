//! `/sobjects` and the two descriptions of an object, with every key that strict clients read.

use serde_json::{Map, Value, json};

use super::schema::{Field, Kind, Object, Schema};

/// The body of `GET /sobjects`.
pub(super) fn global(schema: &Schema, root: &str) -> Value {
    let objects: Vec<Value> = schema.objects.iter().map(|object| Value::Object(summary(object, root))).collect();
    json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects })
}

/// The body of `GET /sobjects/<object>`.
pub(super) fn information(object: &Object, root: &str) -> Value {
    json!({ "objectDescribe": summary(object, root), "recentItems": [] })
}

/// The body of `GET /sobjects/<object>/describe`.
pub(super) fn full(object: &Object, root: &str) -> Value {
    let mut body = summary(object, root);
    let fields: Vec<Value> = object.visible_fields().map(field).collect();
    body.insert("fields".to_owned(), Value::Array(fields));
    body.insert("childRelationships".to_owned(), json!([]));
    body.insert("namedLayoutInfos".to_owned(), json!([]));
    body.insert("supportedScopes".to_owned(), json!([{ "label": "All records", "name": "everything" }]));
    body.insert("recordTypeInfos".to_owned(), json!([{
        "active": true, "available": true, "defaultRecordTypeMapping": true, "developerName": "Master", "master": true,
        "name": "Master", "recordTypeId": "012000000000000AAA", "urls": {},
    }]));
    Value::Object(body)
}

fn summary(object: &Object, root: &str) -> Map<String, Value> {
    let base = format!("{root}/sobjects/{}", object.name);
    let writable = object.writable;
    let body = json!({
        "activateable": false, "associateEntityType": null, "associateParentEntity": null, "createable": writable,
        "custom": false, "customSetting": false, "deepCloneable": false, "deletable": writable,
        "deprecatedAndHidden": false, "feedEnabled": false, "hasSubtypes": false, "isInterface": false,
        "isSubtype": false, "keyPrefix": object.prefix, "label": object.label, "labelPlural": object.label_plural,
        "layoutable": true, "mergeable": false, "mruEnabled": true, "name": object.name, "queryable": true,
        "replicateable": true, "retrieveable": true, "searchable": writable, "triggerable": writable,
        "undeletable": writable, "updateable": writable,
        "urls": {
            "sobject": base, "describe": format!("{base}/describe"), "rowTemplate": format!("{base}/{{ID}}"),
        },
    });
    match body {
        Value::Object(body) => body,
        _ => Map::new(),
    }
}

fn field(field: &Field) -> Value {
    let is_text = field.kind.is_text();
    let is_name = field.name_field;
    let text_length = if is_text || matches!(field.kind, Kind::Id | Kind::Reference) { field.size } else { 0 };
    let (precision, scale, digits) = match field.kind {
        Kind::Int => (0, 0, field.size),
        Kind::Double => (field.size, 2, 0),
        _ => (0, 0, 0),
    };
    let is_boolean = field.kind == Kind::Boolean;
    let body = json!({
        "aggregatable": field.filterable && !is_boolean, "aiPredictionField": false, "autoNumber": false,
        "byteLength": text_length * 3, "calculated": false, "calculatedFormula": null, "cascadeDelete": false,
        "caseSensitive": field.case_sensitive, "compoundFieldName": null, "controllerName": null,
        "createable": field.createable, "custom": field.custom, "dependentPicklist": false,
        "defaultValue": if is_boolean { json!(false) } else { json!(null) }, "defaultValueFormula": null,
        "defaultedOnCreate": field.default.is_some() || is_boolean || &*field.name == "OwnerId",
        "deprecatedAndHidden": false, "digits": digits, "displayLocationInDecimal": false, "encrypted": false,
        "externalId": field.external_id, "extraTypeInfo": null, "filterable": field.filterable,
        "filteredLookupInfo": null, "groupable": field.groupable, "highScaleNumber": false, "htmlFormatted": false,
        "idLookup": field.is_upsert_key() || &*field.name == "Email", "inlineHelpText": null, "label": field.label,
        "length": text_length, "mask": null, "maskType": null, "name": &*field.name, "nameField": is_name,
        "namePointing": field.is_polymorphic(), "nillable": field.nillable,
    });
    let rest = json!({
        "permissionable": field.nillable && field.createable, "picklistValues": picklist(field),
        "polymorphicForeignKey": field.is_polymorphic(), "precision": precision, "queryByDistance": false,
        "referenceTargetField": null, "referenceTo": field.targets, "relationshipName": field.relationship,
        "relationshipOrder": null, "restrictedDelete": false, "restrictedPicklist": field.restricted, "scale": scale,
        "searchPrefilterable": field.kind == Kind::Reference, "soapType": soap_type(field.kind),
        "sortable": field.sortable, "type": type_name(field.kind), "unique": field.unique,
        "updateable": field.updateable, "writeRequiresMasterRead": false,
    });
    match (body, rest) {
        (Value::Object(mut body), Value::Object(rest)) => {
            body.extend(rest);
            Value::Object(body)
        }
        (body, _) => body,
    }
}

fn picklist(field: &Field) -> Vec<Value> {
    let is_default = |value: &str| field.default == Some(value);
    let entry = |value: &String| json!({ "active": true, "defaultValue": is_default(value), "label": value, "validFor": null, "value": value });
    field.values.iter().map(entry).collect()
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Id => "id",
        Kind::Reference => "reference",
        Kind::Text => "string",
        Kind::LongText => "textarea",
        Kind::Email => "email",
        Kind::Phone => "phone",
        Kind::Url => "url",
        Kind::Picklist => "picklist",
        Kind::Combobox => "combobox",
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Double => "double",
        Kind::Date => "date",
        Kind::DateTime => "datetime",
    }
}

fn soap_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Id | Kind::Reference => "tns:ID",
        Kind::Boolean => "xsd:boolean",
        Kind::Int => "xsd:int",
        Kind::Double => "xsd:double",
        Kind::Date => "xsd:date",
        Kind::DateTime => "xsd:dateTime",
        _ => "xsd:string",
    }
}
