//! A list whose items a template sees one at a time.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Serde, Value};
use serde::{Serialize, Serializer};

/// Items of which there may be thousands.
///
/// A template's engine makes values of whatever it is given, in several times the memory: of
/// these it makes values of the one item that it is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LongList<T>(Arc<Vec<T>>);

impl<T> Default for LongList<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> From<Vec<T>> for LongList<T> {
    fn from(items: Vec<T>) -> Self {
        Self(Arc::new(items))
    }
}

impl<T> FromIterator<T> for LongList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Vec::from_iter(items).into()
    }
}

impl<T> Deref for LongList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a LongList<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Clone> LongList<T> {
    /// Returns the items, which are copied where somebody else holds them too.
    pub(crate) fn into_items(self) -> Vec<T> {
        Arc::unwrap_or_clone(self.0)
    }
}

impl<T: Serialize + Debug + Send + Sync + 'static> LongList<T> {
    /// Returns the list that a template was given.
    pub(crate) fn of_value(value: &Value) -> Option<Self> {
        Some(Self(Arc::clone(&value.downcast_object_ref::<Items<T>>()?.0)))
    }
}

impl<T: Serialize + Debug + Send + Sync + 'static> Serialize for LongList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::from_object(Items(Arc::clone(&self.0))).serialize(serializer)
    }
}

#[derive(Debug)]
struct Items<T>(Arc<Vec<T>>);

impl<T: Serialize + Debug + Send + Sync + 'static> Object for Items<T> {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from(Serde(self.0.get(key.as_usize()?)?)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    use super::*;

    #[test]
    fn a_template_sees_a_long_list_as_any_other() {
        let items: LongList<Vec<&str>> = vec![vec!["a"], vec!["b", "c"]].into();
        let fields = Value::from(Serde(&items));
        let template = "{% if at %}{% for row in at %}{{ loop.index }}/{{ loop.length }} \
                        {{ row|join('+') }}; {% endfor %}{% endif %}{{ at[1][0] }} {{ at|length }}";
        let text = Environment::new().render_str(template, context! { at => fields }).unwrap();
        assert_eq!(text, "1/2 a; 2/2 b+c; b 2");
        assert_eq!(serde_json::to_string(&items).unwrap(), r#"[["a"],["b","c"]]"#);
    }
}
