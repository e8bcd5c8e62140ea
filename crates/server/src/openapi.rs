//! The OpenAPI 3.1 document, made from the tables of routes, parameters and codes.

use serde_json::{Map, Value, json};

use crate::admin_routes;
use crate::keys::Scope;
use crate::live_routes::fields;
use crate::problem::{CODES, Code};
use crate::routes::{Answer, Kind, Operation, Parameter, ROUTES, Route, UNROUTED_CODES};
use crate::schemas::schemas;

/// A location as the domain reads it, or everywhere.
const LOCATION_PATTERN: &str =
    "^(?:[Ww][Oo][Rr][Ll][Dd]|[A-Za-z]{2}(?:/[A-Za-z0-9]{1,3}(?:/[^/]{1,100})?)?)$";

/// The document's bytes; made once, when the server starts.
pub(crate) fn document() -> Vec<u8> {
    serde_json::to_vec(&value()).expect("text and numbers always encode")
}

fn value() -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.pattern).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(route);
    }
    let codes: Vec<Value> = CODES
        .iter()
        .map(|row| json!({"code": row.name, "status": row.status, "meaning": row.title}))
        .collect();
    let unrouted: Vec<&str> = UNROUTED_CODES.iter().map(|code| code.row().name).collect();
    let mut schemas = schemas();
    if let (Some(schemas), Value::Object(admin)) = (schemas.as_object_mut(), admin_routes::schemas()) {
        schemas.extend(admin);
    }
    schemas["Problem"]["properties"]["code"]["enum"] = CODES.iter().map(|row| row.name).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cinedex",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Films like a film, films for a person, people of like taste, what is popular in a place",
            "description": "A URL is ASCII: percent-encode every other byte of an id, a title or a place. A line or a head \
                            that is no HTTP/1.1, or a URL of more than 65,534 bytes, is refused before any route is looked \
                            for: 400 without a body, and the connection is closed.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {
                "type": "http", "scheme": "bearer",
                "description": "A key of the route's scope or a larger one: read, write, admin. Read and write are open until \
                                a key of their scope exists.",
            }},
        },
        "x-codes": codes,
        "x-unrouted-codes": unrouted,
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "description": route.description,
        "responses": responses(route),
    });
    if let Some(scope) = route.scope {
        let key = json!({"key": []});
        operation["x-scope"] = scope.as_str().into();
        operation["security"] = if scope == Scope::Admin { json!([key]) } else { json!([{}, key]) };
    }
    let mut parameters: Vec<Value> = path_parameters(route);
    if route.has_body() {
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": body_schema(route)}},
        });
    } else {
        parameters.extend(route.parameters().map(query_parameter));
    }
    if route.operation == Operation::Interactions {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
            "description": "The caller's name for the request: sent again with the same body, it counts once.",
        }));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

fn path_parameters(route: &Route) -> Vec<Value> {
    let names = route.pattern.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            json!({
                "name": name, "in": "path", "required": true, "schema": value_schema(Kind::Id),
                "description": "An id, percent-encoded: a slash in it is %2F.",
            })
        })
        .collect()
}

fn query_parameter(parameter: &'static Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": parameter_schema(parameter),
    })
}

fn parameter_schema(parameter: &Parameter) -> Value {
    let mut schema = match parameter.most {
        1 => value_schema(parameter.kind),
        most => json!({"type": "array", "items": value_schema(parameter.kind), "maxItems": most}),
    };
    match parameter.name {
        "limit" => schema["default"] = 20.into(),
        "cursor" => schema["pattern"] = "^[A-Za-z0-9_-]*$".into(),
        "location" => schema["pattern"] = LOCATION_PATTERN.into(),
        _ => {}
    }
    schema
}

/// A parameter as a field of a body: null is the same as none, and one value stands for a list of it.
fn field_schema(parameter: &Parameter) -> Value {
    let schema = parameter_schema(parameter);
    if parameter.most > 1 {
        json!({"anyOf": [schema, value_schema(parameter.kind), {"type": "null"}]})
    } else {
        json!({"anyOf": [schema, {"type": "null"}]})
    }
}

fn value_schema(kind: Kind) -> Value {
    match kind {
        Kind::Text(most) => json!({"type": "string", "maxLength": most}),
        Kind::Id => json!({"type": "string", "minLength": 1, "maxLength": 256}),
        Kind::Integer(lowest, highest) => json!({"type": "integer", "minimum": lowest, "maximum": highest}),
        Kind::Number(lowest, highest) => json!({"type": "number", "minimum": lowest, "maximum": highest}),
        Kind::Boolean => json!({"type": "boolean", "default": false}),
        Kind::Choice(names) => json!({"enum": names}),
    }
}

fn body_schema(route: &Route) -> Value {
    let fields = object_schema(route);
    if route.operation == Operation::Interactions {
        return json!({"anyOf": [{"$ref": "#/components/schemas/Interaction"}, fields]});
    }
    fields
}

fn object_schema(route: &Route) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in fields(route.operation) {
        let mut schema = (field.schema)();
        schema["description"] = field.description.into();
        properties.insert(field.name.to_owned(), schema);
        required.extend(field.required.then_some(field.name));
    }
    for parameter in route.parameters() {
        let mut schema = field_schema(parameter);
        schema["description"] = parameter.description.into();
        properties.insert(parameter.name.to_owned(), schema);
    }
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

/// One response for each status; a status of several codes names them all.
fn responses(route: &Route) -> Value {
    let (media_type, schema) = match route.answer {
        Answer::Json(name) | Answer::Accepted(name) => {
            ("application/json", json!({"$ref": format!("#/components/schemas/{name}")}))
        }
        Answer::Text(media_type) => (media_type, json!({"type": "string"})),
    };
    let mut responses = Map::new();
    let mut ok = json!({"description": route.summary, "content": {media_type: {"schema": schema}}});
    if matches!(route.answer, Answer::Accepted(_)) {
        let schema = json!({"type": "string"});
        ok["headers"] = json!({"location": {"description": "Where it can be watched.", "schema": schema}});
    }
    responses.insert(route.answer.status().to_string(), ok);
    let mut codes: Vec<Code> = route.all_codes().collect();
    codes.sort_by_key(|code| *code as usize);
    for code in codes {
        let row = code.row();
        let response = responses.entry(row.status.to_string()).or_insert_with(|| {
            json!({
                "description": "",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            })
        });
        let before = response["description"].as_str().unwrap_or_default();
        let separator = if before.is_empty() { "" } else { "; " };
        response["description"] = format!("{before}{separator}`{}`: {}", row.name, row.title).into();
    }
    responses.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_parameter_and_code_is_in_the_document() {
        let document = value();
        for route in &ROUTES {
            let operation = &document["paths"][route.pattern][route.method.as_str().to_lowercase()];
            assert_eq!(operation["operationId"], route.name);
            for parameter in route.parameters() {
                let found = if route.has_body() {
                    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                    schema["properties"].get(parameter.name).is_some()
                } else {
                    let list = operation["parameters"].as_array().unwrap();
                    list.iter().any(|entry| entry["name"] == parameter.name)
                };
                assert!(found, "{} {}", route.name, parameter.name);
            }
            for code in route.all_codes() {
                let response = &operation["responses"][code.row().status.to_string()];
                assert!(
                    response["description"].as_str().unwrap().contains(code.row().name),
                    "{}",
                    route.name
                );
            }
        }
    }

    #[test]
    fn every_code_is_answered_somewhere() {
        for row in &CODES {
            let routed = ROUTES.iter().any(|route| route.all_codes().any(|code| code == row.code));
            assert!(routed || UNROUTED_CODES.contains(&row.code), "{}", row.name);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = value();
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }
}
