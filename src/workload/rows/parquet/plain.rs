//! Columns that the library panics over when it makes rows of them: they are read as plain bytes.

use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

use crate::workload::rows::parquet::values::is_interval;

/// Returns a schema in which intervals are bytes, at every depth; `None` where there are none.
pub(super) fn plain(schema: &SchemaDescriptor) -> Result<Option<SchemaDescPtr>, ParquetError> {
    if !schema.columns().iter().any(|column| is_interval(column.self_type())) {
        return Ok(None);
    }
    let root = schema.root_schema();
    let columns = members(root)?;
    let root = Type::group_type_builder(root.name()).with_fields(columns).build()?;
    Ok(Some(Arc::new(SchemaDescriptor::new(Arc::new(root)))))
}

fn members(group: &Type) -> Result<Vec<TypePtr>, ParquetError> {
    group.get_fields().iter().map(member).collect()
}

fn member(field: &TypePtr) -> Result<TypePtr, ParquetError> {
    let info = field.get_basic_info();
    let repetition = info.repetition();
    if field.is_group() {
        let group = Type::group_type_builder(field.name())
            .with_repetition(repetition)
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_fields(members(field)?);
        return Ok(Arc::new(group.build()?));
    }
    let Type::PrimitiveType { physical_type, type_length, .. } = **field else {
        return Ok(Arc::clone(field));
    };
    if !is_interval(field) {
        return Ok(Arc::clone(field));
    }
    let bytes = Type::primitive_type_builder(field.name(), physical_type)
        .with_repetition(repetition)
        .with_length(type_length);
    Ok(Arc::new(bytes.build()?))
}
