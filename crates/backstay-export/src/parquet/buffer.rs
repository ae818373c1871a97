//! The values of one column of a row group.

use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;

use super::array::elements;
use super::value::{self, Unfit};
use crate::columns::{Column, ColumnKind};
use crate::error::ExportError;

/// Values, and where among rows and lists they stand (Dremel's levels).
pub(super) struct ColumnBuffer {
    name: String,
    kind: ColumnKind,
    array_delimiter: Option<u8>,
    values: Values,
    /// How much of the path to a value is there: of a plain column 0 for NULL and 1; of a list 0 for NULL, 1 for an empty
    /// list, 2 for an element that is NULL, and 3.
    definition: Vec<i16>,
    /// Of a list: 0 where a row begins, 1 for its further elements.
    repetition: Vec<i16>,
}

enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl ColumnBuffer {
    pub(super) fn new(column: &Column) -> Self {
        let values = match column.kind {
            ColumnKind::Bool => Values::Bool(Vec::new()),
            ColumnKind::Int16 | ColumnKind::Int32 | ColumnKind::Date => Values::Int32(Vec::new()),
            ColumnKind::Int64 | ColumnKind::Oid | ColumnKind::Timestamp | ColumnKind::TimestampTz => {
                Values::Int64(Vec::new())
            }
            ColumnKind::Float32 => Values::Float(Vec::new()),
            ColumnKind::Float64 => Values::Double(Vec::new()),
            ColumnKind::Bytes | ColumnKind::Json | ColumnKind::Text => Values::Bytes(Vec::new()),
            ColumnKind::Decimal { .. } | ColumnKind::Uuid => Values::Fixed(Vec::new()),
        };
        Self {
            name: column.name.clone(),
            kind: column.kind,
            array_delimiter: column.array_delimiter,
            values,
            definition: Vec::new(),
            repetition: Vec::new(),
        }
    }

    /// Adds the value of a row.
    pub(super) fn push(&mut self, value: Option<&[u8]>, row: u64) -> Result<(), ExportError> {
        let pushed = match (self.array_delimiter, value) {
            (None, None) => {
                self.definition.push(0);
                Ok(())
            }
            (None, Some(value)) => {
                self.definition.push(1);
                self.values.push(self.kind, value)
            }
            (Some(_), None) => {
                self.definition.push(0);
                self.repetition.push(0);
                Ok(())
            }
            (Some(delimiter), Some(text)) => self.push_array(text, delimiter),
        };
        pushed.map_err(|Unfit(what)| ExportError::Value {
            column: self.name.clone(),
            row,
            what,
        })
    }

    fn push_array(&mut self, text: &[u8], delimiter: u8) -> Result<(), Unfit> {
        let mut repetition = 0;
        elements(text, delimiter, |element| {
            self.repetition.push(repetition);
            repetition = 1;
            match element {
                None => self.definition.push(2),
                Some(element) => {
                    self.definition.push(3);
                    self.values.push(self.kind, element)?;
                }
            }
            Ok(())
        })?;
        if repetition == 0 {
            self.definition.push(1);
            self.repetition.push(0);
        }
        Ok(())
    }

    /// Writes the values as the column of a row group, and forgets them.
    pub(super) fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let repetition = self.array_delimiter.map(|_| self.repetition.as_slice());
        let definition = &self.definition;
        match &mut self.values {
            Values::Bool(values) => write(writer.typed::<BoolType>(), values, definition, repetition),
            Values::Int32(values) => write(writer.typed::<Int32Type>(), values, definition, repetition),
            Values::Int64(values) => write(writer.typed::<Int64Type>(), values, definition, repetition),
            Values::Float(values) => write(writer.typed::<FloatType>(), values, definition, repetition),
            Values::Double(values) => write(writer.typed::<DoubleType>(), values, definition, repetition),
            Values::Bytes(values) => write(writer.typed::<ByteArrayType>(), values, definition, repetition),
            Values::Fixed(values) => write(writer.typed::<FixedLenByteArrayType>(), values, definition, repetition),
        }?;
        self.definition.clear();
        self.repetition.clear();
        Ok(())
    }
}

fn write<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: &mut Vec<T::T>,
    definition: &[i16],
    repetition: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let written = writer.write_batch(values, Some(definition), repetition)?;
    if written != values.len() {
        return Err(ParquetError::General(format!(
            "{written} of {} values were taken",
            values.len()
        )));
    }
    values.clear();
    Ok(())
}

impl Values {
    fn push(&mut self, kind: ColumnKind, text: &[u8]) -> Result<(), Unfit> {
        match self {
            Self::Bool(values) => values.push(value::boolean(text)?),
            Self::Int32(values) => values.push(match kind {
                ColumnKind::Date => value::date(text)?,
                _ => value::number(text)?,
            }),
            Self::Int64(values) => values.push(match kind {
                ColumnKind::Timestamp | ColumnKind::TimestampTz => value::timestamp(text)?,
                _ => value::number(text)?,
            }),
            Self::Float(values) => values.push(value::number(text)?),
            Self::Double(values) => values.push(value::number(text)?),
            Self::Bytes(values) => values.push(match kind {
                ColumnKind::Bytes => value::bytea(text)?.into(),
                _ => value::text(text)?.into(),
            }),
            Self::Fixed(values) => values.push(match kind {
                ColumnKind::Decimal { scale, .. } => ByteArray::from(value::decimal(text, scale)?).into(),
                _ => ByteArray::from(value::uuid(text)?).into(),
            }),
        }
        Ok(())
    }
}
