//! How a change of the library becomes rows; part of [`super::apply`].

use protocol::{Workflow, WorkflowVersion};
use rusqlite::{Connection, params};

use super::{
    super::{LibraryChange, StoreError, rules},
    failure::{Outcome, to_json, to_json_option},
    rows,
};

/// Answers the number of a new version.
pub(super) fn apply(
    connection: &Connection,
    change: &LibraryChange,
    seq: i64,
) -> Outcome<Option<u32>> {
    match change {
        LibraryChange::Create { workflow, version } => {
            rules::check_version(workflow, version)?;
            name_is_free(connection, workflow)?;
            sid_is_free(connection, "workflow", "workflows", workflow.sid.as_str())?;
            connection
                .prepare_cached(
                    "INSERT INTO workflows (sid, seq, created_seq, name, description, tags, \
                     current_version_sid, created_at, updated_at) \
                     VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    workflow.sid.as_str(),
                    seq,
                    workflow.name,
                    workflow.description,
                    to_json(&workflow.tags)?,
                    workflow.current_version_sid.as_str(),
                    workflow.created_at.0,
                    workflow.updated_at.0,
                ])?;
            let number = add_version(connection, version)?;
            has_current_version(connection, workflow)?;
            Ok(Some(number))
        }
        LibraryChange::Update(workflow) => {
            update(connection, workflow, seq)?;
            has_current_version(connection, workflow)?;
            Ok(None)
        }
        LibraryChange::AddVersion { workflow, version } => {
            rules::check_version(workflow, version)?;
            update(connection, workflow, seq)?;
            let number = add_version(connection, version)?;
            has_current_version(connection, workflow)?;
            Ok(Some(number))
        }
        LibraryChange::Delete(sid) => {
            let changed = connection
                .prepare_cached(
                    "UPDATE workflows SET deleted = 1, seq = ?2 WHERE sid = ?1 AND deleted = 0",
                )?
                .execute(params![sid.as_str(), seq])?;
            if changed == 0 {
                return Err(rules::no_workflow(sid).into());
            }
            Ok(None)
        }
    }
}

fn update(connection: &Connection, workflow: &Workflow, seq: i64) -> Outcome<()> {
    name_is_free(connection, workflow)?;
    let changed = connection
        .prepare_cached(
            "UPDATE workflows SET seq = ?2, name = ?3, description = ?4, tags = ?5, \
             current_version_sid = ?6, updated_at = ?7 WHERE sid = ?1 AND deleted = 0",
        )?
        .execute(params![
            workflow.sid.as_str(),
            seq,
            workflow.name,
            workflow.description,
            to_json(&workflow.tags)?,
            workflow.current_version_sid.as_str(),
            workflow.updated_at.0,
        ])?;
    if changed == 0 {
        return Err(rules::no_workflow(&workflow.sid).into());
    }
    Ok(())
}

fn name_is_free(connection: &Connection, workflow: &Workflow) -> Outcome<()> {
    let taken = connection
        .prepare_cached("SELECT 1 FROM workflows WHERE name = ?1 AND deleted = 0 AND sid <> ?2")?
        .exists(params![workflow.name, workflow.sid.as_str()])?;
    refuse_if(taken, || rules::name_taken(&workflow.name))
}

fn sid_is_free(connection: &Connection, what: &str, table: &str, sid: &str) -> Outcome<()> {
    let taken = connection
        .prepare_cached(&format!("SELECT 1 FROM {table} WHERE sid = ?1"))?
        .exists([sid])?;
    refuse_if(taken, || rules::sid_taken(what, sid))
}

fn has_current_version(connection: &Connection, workflow: &Workflow) -> Outcome<()> {
    let sid = &workflow.current_version_sid;
    let is_there = connection
        .prepare_cached("SELECT 1 FROM versions WHERE sid = ?1 AND workflow_sid = ?2")?
        .exists([sid.as_str(), workflow.sid.as_str()])?;
    refuse_if(!is_there, || rules::no_version(sid))
}

fn refuse_if(wrong: bool, error: impl FnOnce() -> StoreError) -> Outcome<()> {
    if wrong { Err(error().into()) } else { Ok(()) }
}

/// Answers its number: one more than the highest of its workflow.
fn add_version(connection: &Connection, version: &WorkflowVersion) -> Outcome<u32> {
    sid_is_free(connection, "version", "versions", version.sid.as_str())?;
    let number = connection
        .prepare_cached(
            "INSERT INTO versions (sid, workflow_sid, number, created_at, source_file, flow_name, \
             timeout_ms, limits, on_interrupt, env, signature, inputs, outputs, nodes, edges, python_source) \
             VALUES (?1, ?2, 1 + (SELECT coalesce(max(number), 0) FROM versions WHERE workflow_sid = ?2), \
             ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) RETURNING number",
        )?
        .query_row(
            params![
                version.sid.as_str(),
                version.workflow_sid.as_str(),
                version.created_at.0,
                version.source_file,
                version.flow_name,
                version.timeout_ms.map(u64::cast_signed),
                to_json(&version.limits)?,
                version.on_interrupt.as_str(),
                to_json(&version.env)?,
                to_json_option(version.signature.as_ref())?,
                to_json(&version.inputs)?,
                to_json(&version.outputs)?,
                to_json(&version.nodes)?,
                to_json(&version.edges)?,
                version.python_source,
            ],
            rows::first,
        )?;
    Ok(number)
}
