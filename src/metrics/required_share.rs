//! How many requests must meet the objectives for a cell, or a load, to meet them.

use crate::metrics::catalogue::MetricId;
use crate::metrics::condition::{Condition, Limit, Operator};
use crate::plan::Plan;
use crate::plan::gate::GatePlan;

/// Share of requests, per cent, that must meet the objectives where no gate asks for another.
const GOOD_PCT: f64 = 99.0;

/// Returns the share of requests, per cent, that must meet the objectives for a cell or a load to meet
/// them: the least that a gate on it asks for, else 99.
pub(crate) fn required_pct(plan: &Plan) -> f64 {
    plan.gate.as_ref().and_then(by_gate).unwrap_or(GOOD_PCT)
}

fn by_gate(gate: &GatePlan) -> Option<f64> {
    let least = |text: &String, operators: [Operator; 2]| {
        let condition = Condition::parse(text).ok()?;
        let is_share = condition.subject.metric() == MetricId::GoodputShare;
        let is_least = is_share && operators.contains(&condition.operator);
        match condition.limit {
            Limit::Value(pct) => is_least.then_some(pct),
            Limit::OfBaseline(_) | Limit::Points(_) => None,
        }
    };
    let must = gate.must.iter();
    let must = must.filter_map(|text| least(text, [Operator::AtLeast, Operator::Above]));
    let must_not = gate.must_not.iter();
    let must_not = must_not.filter_map(|text| least(text, [Operator::Below, Operator::AtMost]));
    must.chain(must_not).reduce(f64::max)
}
