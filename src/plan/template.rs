//! Templates in engines and data sets: strict, small, and unable to run away.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};

/// Longest template. A command line's argument is far shorter.
const MAX_BYTES: usize = 8 << 10;
/// Instructions that one rendering may take.
const FUEL: u64 = 20_000;

/// Made once: a plan of thousands of cells renders some hundred thousand templates.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// Variables at hand.
pub(crate) type Context = BTreeMap<String, Value>;

/// Why a template cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// The mistake, in one line.
    pub(crate) message: String,
    /// What may help.
    pub(crate) help: String,
}

/// Renders a template over variables.
pub(crate) fn render(template: &str, context: &Context) -> Result<String, TemplateError> {
    if !is_template(template) {
        return Ok(template.to_string());
    }
    let parsed = parse(&ENVIRONMENT, template)?;
    parsed.render(context).map_err(|error| {
        let mut names: Vec<String> = parsed.undeclared_variables(false).into_iter().collect();
        names.retain(|name| !context.contains_key(name));
        names.sort();
        match names.first() {
            Some(name) => undefined(name, context),
            None => plain(&error),
        }
    })
}

/// Returns the names of the variables that a template uses; none where the text is not one.
pub(crate) fn variables(template: &str) -> Vec<String> {
    match parse(&ENVIRONMENT, template) {
        Ok(parsed) if is_template(template) => {
            parsed.undeclared_variables(false).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a text is meant as a template and is none: nobody knows what it uses.
pub(crate) fn is_broken(template: &str) -> bool {
    parse(&ENVIRONMENT, template).is_err()
}

/// Checks the syntax of a template that is rendered elsewhere, over a data set's rows.
pub(crate) fn check_syntax(template: &str) -> Result<(), TemplateError> {
    let env = Environment::new();
    env.template_from_str(template).map(|_| ()).map_err(|error| plain(&error))
}

/// Returns the name under which templates know a key: `tensor-parallel` is `tensor_parallel`.
pub(crate) fn variable_name(key: &str) -> String {
    key.replace(['-', '.'], "_")
}

/// Returns a TOML value as templates see it.
pub(crate) fn value(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(flag) => Value::from(*flag),
        other => Value::from(Serde(other)),
    }
}

pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// An environment with a handful of filters. There is no loop, no assignment and no filter
/// that repeats text, so that output stays about as long as the template and its variables.
fn environment() -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_fuel(Some(FUEL));
    env.add_filter("default", minijinja::filters::default);
    env.add_filter("int", minijinja::filters::int);
    env.add_filter("lower", minijinja::filters::lower);
    env.add_filter("upper", minijinja::filters::upper);
    env.add_filter("tojson", |value: Value| -> Result<String, minijinja::Error> {
        serde_json::to_string(&value).map_err(|error| {
            minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string())
        })
    });
    env.add_filter("with", with);
    env.add_test("defined", |value: &Value| !value.is_undefined());
    env
}

/// Returns a map with the entries of another one put in.
fn with(base: &Value, extra: &Value) -> Result<Value, minijinja::Error> {
    let mut merged: BTreeMap<String, Value> = BTreeMap::new();
    for map in [base, extra] {
        for key in map.try_iter()? {
            merged.insert(key.to_string(), map.get_item(&key)?);
        }
    }
    Ok(Value::from(merged))
}

fn parse<'a>(
    env: &'a Environment<'static>,
    template: &'a str,
) -> Result<minijinja::Template<'a, 'a>, TemplateError> {
    if template.len() > MAX_BYTES {
        return Err(TemplateError {
            message: format!("a template has at most {MAX_BYTES} bytes"),
            help: "put long texts into a file".into(),
        });
    }
    for block in template.split("{%").skip(1) {
        let word = block.trim_start_matches(['-', '+']).trim_start();
        let word: String = word.chars().take_while(char::is_ascii_alphabetic).collect();
        if !matches!(word.as_str(), "if" | "elif" | "else" | "endif") {
            return Err(TemplateError {
                message: format!("`{{% {word}` has no place in a command's template"),
                help: "templates here know `{{ … }}` and `{% if … %}`".into(),
            });
        }
    }
    env.template_from_str(template).map_err(|error| plain(&error))
}

fn undefined(name: &str, context: &Context) -> TemplateError {
    let help = match name {
        "model_path" => "add `model-path = \"./…\"`, the local file of the weights".to_string(),
        "model" => "add `model = \"…\"` to the engine".to_string(),
        "precision" => "add `precision = \"…\"` to the engine, or sweep it".to_string(),
        _ => {
            let known = context.keys().map(String::as_str);
            crate::diagnostic::suggest::did_you_mean(name, known, "known names")
                .unwrap_or_else(|| "define it in `[vars]`".into())
        }
    };
    TemplateError { message: format!("`{name}` is not defined"), help }
}

fn plain(error: &minijinja::Error) -> TemplateError {
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
    TemplateError { message, help: "templates are written as in Jinja: `{{ name }}`".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context::from([
            ("model".to_string(), Value::from("org/name")),
            ("eager".to_string(), Value::from(false)),
        ])
    }

    #[test]
    fn templates_are_strict_about_names_and_lenient_about_conditions() {
        let check = |template: &str, expected: Result<&str, &str>| {
            let got = render(template, &context()).map_err(|error| error.message);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{template}");
        };
        check("--plain {", Ok("--plain {"));
        check("{{ model }}", Ok("org/name"));
        check("{% if model_path %}--model={{ model_path }}{% endif %}", Ok(""));
        check("{{ modle }}", Err("`modle` is not defined"));
        check("{{ [1, 2] | tojson }}", Ok("[1,2]"));
        check("{{ {'a': 1} | with({'b': 'x'}) | tojson }}", Ok("{\"a\":1,\"b\":\"x\"}"));
        check("{{ context_length | default(1) }}", Ok("1"));
    }

    #[test]
    fn a_template_cannot_run_away() {
        for template in [
            "{% for i in range(1000000000) %}x{% endfor %}",
            "{% set a = 'x' %}{{ a }}",
            "{% include '../../etc/passwd' %}",
            "{%- macro f() %}{% endmacro %}",
            "{{ 'x' * 1000000000 }}",
            &"{{ model }}".repeat(10_000),
        ] {
            assert!(
                render(template, &context()).is_err(),
                "{}",
                &template[..30.min(template.len())]
            );
        }
    }

    #[test]
    fn the_names_a_template_uses_are_known() {
        let mut names = variables("{% if a %}{{ b }}{% endif %}");
        names.sort();
        assert_eq!(names, ["a", "b"]);
        assert!(variables("plain").is_empty());
    }
}
