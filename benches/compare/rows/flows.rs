//! A flow of many tasks: as steps of one process, as child plays of a process each, with work to do.

use serde_json::{Value, json};

use crate::{
    Bench, Done,
    client::{Order, Start},
    report::{Line, Role, Row},
    stats::Rounds,
    tally::Tally,
};

const TASKS: &str = include_str!("../../flows/tasks.py");
const CHILDREN: &str = include_str!("../../flows/children.py");
const CHILDREN_AT_ONCE: &str = include_str!("../../flows/children_at_once.py");

/// One of hero_logic's ways to do it.
struct Way {
    label: String,
    order: Order,
    rounds: Rounds,
}

/// The ways of one flow, for each start that is asked for.
fn ways(bench: &mut Bench, name: &str, source: &str, how: &str, input: &Value) -> Done<Vec<Way>> {
    let starts = bench.starts.clone();
    let server = bench.server()?;
    let page: Value = server
        .client()?
        .call("workflow_list", &json!({"name": name}))?;
    let workflow = match page["items"][0]["sid"].as_str() {
        Some(sid) => sid.to_owned(),
        None => server.add(name, source)?,
    };
    let way = |start: Start| Way {
        label: format!("hero_logic, {how}{}", start.word()),
        order: Order::new(&workflow, input.clone(), start),
        rounds: Rounds::default(),
    };
    Ok(starts.into_iter().map(way).collect())
}

/// Everybody in turn: seconds of the whole flow, times `factor`.
fn side_by_side(
    bench: &mut Bench,
    rounds: usize,
    mut ways: Vec<Way>,
    job: (&'static str, &[u64]),
    factor: f64,
) -> Done<Vec<Line>> {
    let mut client = bench.server()?.client()?;
    let mut others: Vec<Tally> = bench
        .contenders
        .names()
        .into_iter()
        .map(Tally::new)
        .collect();
    for way in &ways {
        client.play(&way.order)?;
    }
    for _ in 0..rounds {
        for way in &mut ways {
            let (took, _) = client.play(&way.order)?;
            way.rounds.push(vec![took.as_secs_f64()]);
        }
        for other in &mut others {
            other.turn(&mut bench.contenders, job);
        }
    }
    let ways = ways
        .into_iter()
        .map(|way| Line::measured(way.label, Role::Hero, way.rounds.scaled(factor)));
    let others = others
        .into_iter()
        .filter_map(|other| other.line(&bench.contenders, factor));
    Ok(ways.chain(others).collect())
}

pub(crate) fn tasks(bench: &mut Bench) -> Done<Vec<Row>> {
    let input = json!({"count": 40, "n": 10});
    let ways = ways(bench, "tasks", TASKS, "", &input)?;
    let rounds = bench.rounds(7);
    let lines = side_by_side(bench, rounds, ways, ("tasks", &[40, 10]), 1e3)?;
    Ok(vec![Row {
        name: "tasks",
        title: "40 × fib(10), tasks of one flow, in its process".to_owned(),
        unit: "ms",
        lines,
        method: "Each step durable before the next with hero_logic, DBOS and Restate; of RQ and the pools each task is a job, one after another."
            .to_owned(),
    }])
}

pub(crate) fn children(bench: &mut Bench) -> Done<Vec<Row>> {
    let count = bench.size(40, 3);
    let input = json!({"count": count, "n": 10});
    let mut all = ways(bench, "children", CHILDREN, "one after another, ", &input)?;
    // The children are plays of the library, so that both flows start the same.
    let fib = "fib_play";
    let page: Value = bench
        .server()?
        .client()?
        .call("workflow_list", &json!({"name": fib}))?;
    if page["items"][0].is_null() {
        bench.server()?.add(fib, CHILDREN)?;
    }
    all.extend(ways(
        bench,
        "children_at_once",
        CHILDREN_AT_ONCE,
        "all at once, ",
        &input,
    )?);
    let rounds = bench.rounds(5);
    let lines = side_by_side(bench, rounds, all, ("tasks", &[count as u64, 10]), 1e3)?;
    Ok(vec![Row {
        name: "children",
        title: format!("{count} × fib(10), each a child play with a process of its own"),
        unit: "ms",
        lines,
        method: "Against the tasks of the others, as in the row `tasks`: only RQ (a process a job), fresh \
                 pools and subprocess isolate them."
            .to_owned(),
    }])
}

pub(crate) fn cpu(bench: &mut Bench) -> Done<Vec<Row>> {
    let (count, n) = (bench.size(10, 2), bench.size(33, 18));
    let input = json!({"count": count, "n": n});
    let mut ways = ways(bench, "tasks", TASKS, "", &input)?;
    // It is Python that works here: how it was started makes no difference.
    ways.truncate(1);
    let rounds = bench.rounds(2);
    let numbers = [count as u64, n as u64];
    let lines = side_by_side(bench, rounds, ways, ("tasks", &numbers), 1.0)?;
    Ok(vec![Row {
        name: "cpu",
        title: format!("{count} × fib({n}), tasks of one flow"),
        unit: "s",
        lines,
        method: String::new(),
    }])
}
