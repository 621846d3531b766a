//! The legacy path: nodes and edges. What is valid, what may run next, what goes where.
//!
//! Pure: no actix, no tokio. [`super::dag_attempt`] runs it.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
};

use protocol::{Edge, Node};
use serde_json::{Map, Value};

use super::composed::Composed;

/// What is wrong with nodes and edges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DagError {
    #[error("there are no nodes")]
    Empty,
    #[error("two nodes have the id {0:?}; give each one of its own")]
    DuplicateId(String),
    #[error("the edge from {from:?} to {to:?} names {missing:?}, and there is no such node")]
    UnknownNode {
        from: String,
        to: String,
        missing: String,
    },
    #[error("the edge from {0:?} leads to itself; a node can't wait for itself")]
    SelfEdge(String),
    #[error("there are two edges from {from:?} to {to:?}; one carries the whole output")]
    DuplicateEdge { from: String, to: String },
    #[error("the nodes {} form a cycle; a node can't wait for itself", .0.join(" -> "))]
    Cycle(Vec<String>),
    #[error("the edge from {from:?} to {to:?} maps the key {key:?} to no text; a map renames keys")]
    BadMap {
        from: String,
        to: String,
        key: String,
    },
    #[error("the edge from {from:?} to {to:?} maps two keys to {name:?}; only one could arrive")]
    AmbiguousMap {
        from: String,
        to: String,
        name: String,
    },
}

/// A valid graph.
#[derive(Clone, Debug)]
pub struct Dag {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

impl Dag {
    /// Checks nodes and edges.
    ///
    /// # Errors
    /// The first thing that is wrong, by name.
    pub fn new(nodes: &[Node], edges: &[Edge]) -> Result<Self, DagError> {
        if nodes.is_empty() {
            return Err(DagError::Empty);
        }
        let mut ids = HashSet::new();
        for node in nodes {
            if !ids.insert(node.id.as_str()) {
                return Err(DagError::DuplicateId(node.id.clone()));
            }
        }
        let mut pairs = HashSet::new();
        for edge in edges {
            let (from, to) = (edge.from.clone(), edge.to.clone());
            if let Some(missing) = [&edge.from, &edge.to]
                .into_iter()
                .find(|id| !ids.contains(id.as_str()))
            {
                return Err(DagError::UnknownNode {
                    missing: missing.clone(),
                    from,
                    to,
                });
            }
            if from == to {
                return Err(DagError::SelfEdge(from));
            }
            if !pairs.insert((edge.from.as_str(), edge.to.as_str())) {
                return Err(DagError::DuplicateEdge { from, to });
            }
            let no_text = edge
                .map
                .iter()
                .flatten()
                .find(|(_, name)| !name.is_string());
            if let Some((key, _)) = no_text {
                return Err(DagError::BadMap {
                    from,
                    to,
                    key: key.clone(),
                });
            }
            let mut names = HashSet::new();
            let renamed = edge.map.iter().flatten().filter_map(|(_, to)| to.as_str());
            for name in renamed {
                if !names.insert(name) {
                    return Err(DagError::AmbiguousMap {
                        from,
                        to,
                        name: name.to_owned(),
                    });
                }
            }
        }
        let dag = Self {
            nodes: nodes.to_vec(),
            edges: edges.to_vec(),
        };
        match dag.cycle() {
            Some(cycle) => Err(DagError::Cycle(cycle)),
            None => Ok(dag),
        }
    }

    /// One cycle, its first node named again at its end.
    fn cycle(&self) -> Option<Vec<String>> {
        // Nodes whose predecessors are all settled are taken away; what stays has a cycle.
        let mut left: HashSet<&str> = self.nodes.iter().map(|node| node.id.as_str()).collect();
        loop {
            let free: Vec<&str> = left
                .iter()
                .copied()
                .filter(|id| !self.predecessors(id).any(|from| left.contains(from)))
                .collect();
            if free.is_empty() {
                break;
            }
            left.retain(|id| !free.contains(id));
        }
        // Going back from any of those never leaves them, so a node comes again.
        let mut path = vec![
            self.nodes
                .iter()
                .find(|node| left.contains(node.id.as_str()))?
                .id
                .as_str(),
        ];
        loop {
            let before = self
                .predecessors(path.last()?)
                .find(|from| left.contains(from))?;
            if let Some(at) = path.iter().position(|id| *id == before) {
                let mut cycle: Vec<String> =
                    path[at..].iter().rev().map(|id| (*id).to_owned()).collect();
                cycle.push(cycle.first()?.clone());
                return Some(cycle);
            }
            path.push(before);
        }
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes whose outputs this one gets.
    pub fn predecessors<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a str> {
        self.edges
            .iter()
            .filter(move |edge| edge.to == id)
            .map(|edge| edge.from.as_str())
    }

    /// Nodes that have not been started and whose predecessors have all succeeded.
    #[must_use]
    pub fn ready<V>(&self, started: &HashSet<String>, outputs: &HashMap<String, V>) -> Vec<&Node> {
        let free = |node: &&Node| {
            !started.contains(&node.id)
                && self
                    .predecessors(&node.id)
                    .all(|from| outputs.contains_key(from))
        };
        self.nodes.iter().filter(free).collect()
    }

    /// What a node gets: its fixed inputs, over them the play's input (a source) or what its
    /// predecessors returned.
    #[must_use]
    pub fn inputs<'a, V: Borrow<Value>>(
        &'a self,
        node: &'a Node,
        play_input: &'a Map<String, Value>,
        outputs: &'a HashMap<String, V>,
    ) -> Composed<'a> {
        let mut inputs = Composed::default();
        let of_all = self.predecessors(&node.id).next().is_none();
        let of_all = of_all.then_some(play_input).into_iter();
        for (key, value) in node.inputs.iter().chain(of_all).flatten() {
            inputs.insert(key, value);
        }
        for edge in self.edges.iter().filter(|edge| edge.to == node.id) {
            let mut bring = |key: &'a str, value: &'a Value| {
                let renamed = edge.map.as_ref().and_then(|map| map.get(key));
                inputs.insert(renamed.and_then(Value::as_str).unwrap_or(key), value);
            };
            match outputs.get(&edge.from).map(Borrow::borrow) {
                Some(Value::Object(object)) => object.iter().for_each(|(k, v)| bring(k, v)),
                Some(other) => bring(&edge.from, other),
                None => {}
            }
        }
        inputs
    }

    /// The play's output: what each sink returned, by its id.
    #[must_use]
    pub fn output<'a, V: Borrow<Value>>(&'a self, outputs: &'a HashMap<String, V>) -> Composed<'a> {
        let sinks = self
            .nodes
            .iter()
            .filter(|node| !self.edges.iter().any(|edge| edge.from == node.id));
        let mut output = Composed::default();
        for node in sinks {
            if let Some(returned) = outputs.get(&node.id) {
                output.insert(&node.id, returned.borrow());
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nodes(ids: &[&str]) -> Vec<Node> {
        ids.iter()
            .map(|id| Node {
                id: (*id).into(),
                workflow_sid: "w".into(),
                inputs: None,
            })
            .collect()
    }

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.into(),
            to: to.into(),
            map: None,
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check =
            |ids: &[&str], edges: &[Edge]| Dag::new(&nodes(ids), edges).unwrap_err().to_string();
        assert_eq!(check(&[], &[]), "there are no nodes");
        assert_eq!(
            check(&["a", "a"], &[]),
            r#"two nodes have the id "a"; give each one of its own"#
        );
        assert_eq!(
            check(&["a"], &[edge("a", "b")]),
            r#"the edge from "a" to "b" names "b", and there is no such node"#
        );
        let cycle = check(
            &["x", "a", "b", "c"],
            &[
                edge("x", "a"),
                edge("a", "b"),
                edge("b", "c"),
                edge("c", "a"),
            ],
        );
        assert_eq!(
            cycle,
            "the nodes b -> c -> a -> b form a cycle; a node can't wait for itself"
        );
        assert_eq!(
            check(&["a"], &[edge("a", "a")]),
            r#"the edge from "a" leads to itself; a node can't wait for itself"#
        );
        assert_eq!(
            check(&["a", "b"], &[edge("a", "b"), edge("a", "b")]),
            r#"there are two edges from "a" to "b"; one carries the whole output"#
        );
        let mapped = |map: Value| Edge {
            map: map.as_object().cloned(),
            ..edge("a", "b")
        };
        assert_eq!(
            check(&["a", "b"], &[mapped(json!({"x": 1}))]),
            r#"the edge from "a" to "b" maps the key "x" to no text; a map renames keys"#
        );
        assert_eq!(
            check(&["a", "b"], &[mapped(json!({"x": "k", "y": "k"}))]),
            r#"the edge from "a" to "b" maps two keys to "k"; only one could arrive"#
        );
    }

    #[test]
    fn values_find_their_way() {
        let mut fixed = nodes(&["a", "b", "c"]);
        fixed[2].inputs = json!({"k": 1, "n": 1}).as_object().cloned();
        let renamed = Edge {
            map: json!({"x": "y"}).as_object().cloned(),
            ..edge("a", "c")
        };
        let dag = Dag::new(&fixed, &[renamed, edge("b", "c")]).unwrap();
        let play_input = json!({"p": 0}).as_object().cloned().unwrap();
        assert_eq!(
            json!(dag.inputs(&fixed[0], &play_input, &HashMap::<_, Value>::new())),
            json!({"p": 0})
        );
        let outputs = HashMap::from([
            ("a".into(), json!({"x": 2, "n": 3})),
            ("b".into(), json!(4)),
        ]);
        assert_eq!(
            json!(dag.inputs(&fixed[2], &play_input, &outputs)),
            json!({"k": 1, "n": 3, "y": 2, "b": 4})
        );
        let done = HashMap::from([("c".into(), json!("end"))]);
        assert_eq!(json!(dag.output(&done)), json!({"c": "end"}));
    }

    proptest! {
        /// Whatever the edges: either a cycle is named that is there, or every node becomes ready,
        /// none before its predecessors.
        #[test]
        fn runs_in_order_or_has_a_cycle(pairs in proptest::collection::vec((0..7usize, 0..7usize), 0..14)) {
            let ids = ["a", "b", "c", "d", "e", "f", "g"];
            let pairs: std::collections::BTreeSet<_> = pairs.into_iter().filter(|(from, to)| from != to).collect();
            let edges: Vec<Edge> = pairs.iter().map(|(from, to)| edge(ids[*from], ids[*to])).collect();
            match Dag::new(&nodes(&ids), &edges) {
                Err(DagError::Cycle(cycle)) => {
                    prop_assert!(cycle.first() == cycle.last() && cycle.len() > 1);
                    for step in cycle.windows(2) {
                        prop_assert!(edges.iter().any(|e| e.from == step[0] && e.to == step[1]));
                    }
                }
                Err(other) => prop_assert!(false, "{other}"),
                Ok(dag) => {
                    let (mut started, mut outputs) = (HashSet::new(), HashMap::new());
                    while started.len() < ids.len() {
                        let ready: Vec<String> = dag.ready(&started, &outputs).iter().map(|n| n.id.clone()).collect();
                        prop_assert!(!ready.is_empty());
                        for id in ready {
                            prop_assert!(edges.iter().filter(|e| e.to == id).all(|e| outputs.contains_key(&e.from)));
                            started.insert(id.clone());
                            outputs.insert(id, Value::Null);
                        }
                    }
                }
            }
        }
    }
}
