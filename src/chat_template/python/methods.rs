//! Methods of Python's dictionaries and lists, called, and those of dictionaries named without a
//! call.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use crate::chat_template::python::text::text_method;

/// Methods that a dictionary has.
const OF_DICTIONARIES: [&str; 6] = ["copy", "fromkeys", "get", "items", "keys", "values"];
/// Those that would change it: transformers keeps them from templates, where they are undefined.
const CHANGING: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];

/// The method that `.items` without a call is translated to: the attribute first, then the key.
pub(super) const ATTRIBUTE: &str = "attribute_of_python";
/// The same for `['items']`: the key first, then the attribute.
pub(super) const ITEM: &str = "item_of_python";

/// A dictionary's method that is named and not called: it is defined, true, and no list.
#[derive(Debug)]
struct Method {
    of: Value,
    name: &'static str,
}

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        dictionary_method(&self.of, self.name, args)
    }

    // Python writes an address as well, another one each time.
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<built-in method {} of dict object>", self.name)
    }
}

/// Whether Python's dictionaries have a method of this name.
pub(super) fn is_method(name: &str) -> bool {
    OF_DICTIONARIES.contains(&name) || CHANGING.contains(&name)
}

/// Whether a value is a dictionary to Python; a namespace and a loop are none.
fn is_dictionary(value: &Value) -> bool {
    let is_of_jinja = |value: &Value| {
        value.as_object().is_some_and(|object| {
            let name = object.type_name();
            name.starts_with("minijinja::vm::") || name.ends_with("::Namespace")
        })
    };
    value.kind() == ValueKind::Map && !is_of_jinja(value)
}

/// Returns what a value has by this name, which is no key of a dictionary.
///
/// # Errors
/// What is undefined has nothing.
pub(super) fn attr(value: &Value, name: &str) -> Result<Value, Error> {
    if !is_dictionary(value) {
        return value.get_attr(name);
    }
    let method = OF_DICTIONARIES.into_iter().find(|known| *known == name);
    Ok(method
        .map_or(Value::UNDEFINED, |name| Value::from_object(Method { of: value.clone(), name })))
}

fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    let is_method = is_dictionary(value) && is_method(name);
    if is_method { attr(value, name) } else { value.get_attr(name) }
}

fn item(value: &Value, name: &str) -> Result<Value, Error> {
    let found = value.get_attr(name)?;
    if found.is_undefined() { attribute(value, name) } else { Ok(found) }
}

/// The methods of Python's texts, lists and dictionaries that change nothing.
pub(super) fn method(
    _: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let ATTRIBUTE | ITEM = name {
        let (of,): (&str,) = from_args(args)?;
        return if name == ITEM { item(value, of) } else { attribute(value, of) };
    }
    match (value.kind(), value.as_str()) {
        (ValueKind::Map, _) => dictionary_method(value, name, args),
        // Slices and sums of lists are lists.
        (ValueKind::Seq | ValueKind::Iterable, _) => list_method(value, name, args),
        (_, Some(text)) => text_method(text, name, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn list_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (Value,) = match name {
        "copy" => return from_args::<()>(args).map(|()| value.clone()),
        "index" | "count" => from_args(args)?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    let mut items = value.try_iter()?;
    match name {
        "count" => Ok(Value::from(items.filter(|item| *item == wanted).count())),
        _ => items
            .position(|item| item == wanted)
            .map(Value::from)
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the value is not in the list")),
    }
}

fn dictionary_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            let missing = || default.unwrap_or_else(|| Value::from(()));
            Ok(if found.is_undefined() { missing() } else { found })
        }
        "copy" => from_args::<()>(args).map(|()| value.clone()),
        "fromkeys" => {
            let (keys, given): (Value, Option<Value>) = from_args(args)?;
            let given = given.unwrap_or_else(|| Value::from(()));
            Ok(Value::from_pairs(keys.try_iter()?.map(|key| (key, given.clone()))))
        }
        "keys" => Ok(value.try_iter()?.collect()),
        "values" => value
            .try_iter()?
            .map(|key| value.get_item(&key))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::from),
        "items" => value
            .try_iter()?
            .map(|key| Ok(Value::from(vec![key.clone(), value.get_item(&key)?])))
            .collect::<Result<Vec<_>, Error>>()
            .map(Value::from),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}
