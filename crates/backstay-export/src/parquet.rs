//! Rows as Parquet: the schema, and row groups of bounded size.

mod array;
mod buffer;
mod value;

use std::io::{self, Write};
use std::sync::Arc;

use backstay_core::{Codec, Compression};
use parquet::basic::{
    Compression as ParquetCompression, GzipLevel, LogicalType, Repetition, TimeUnit, Type as PhysicalType, ZstdLevel,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use crate::columns::{Column, ColumnKind};
use crate::error::ExportError;
use crate::output::Output;
use crate::text::fields;
use buffer::ColumnBuffer;

/// The text of the rows of one group, in bytes: what is held in memory, in one form and another. A longer row is a group
/// of its own.
const GROUP_TEXT_BYTES: usize = 16 << 20;

/// Writes rows of COPY text as Parquet.
pub(crate) struct ParquetWriter<'o> {
    file: SerializedFileWriter<Sink<'o>>,
    columns: Vec<ColumnBuffer>,
    unescaped: Vec<u8>,
    row: u64,
    group_rows: u64,
    group_text_bytes: usize,
    group_text_bytes_max: usize,
}

impl<'o> ParquetWriter<'o> {
    pub(crate) fn new(
        output: &'o mut Output,
        columns: &[Column],
        compression: Option<Compression>,
    ) -> Result<Self, ExportError> {
        let sink = Sink { output, error: None };
        let schema = schema(columns).map_err(ExportError::Parquet)?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("backstay ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(
                compression
                    .map_or(Ok(ParquetCompression::UNCOMPRESSED), pages)
                    .map_err(ExportError::Parquet)?,
            )
            .build();
        Ok(Self {
            file: SerializedFileWriter::new(sink, schema, Arc::new(properties)).map_err(ExportError::Parquet)?,
            columns: columns.iter().map(ColumnBuffer::new).collect(),
            unescaped: Vec::new(),
            row: 0,
            group_rows: 0,
            group_text_bytes: 0,
            group_text_bytes_max: GROUP_TEXT_BYTES,
        })
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: &[u8]) -> Result<(), ExportError> {
        if self.group_rows > 0 && self.group_text_bytes + row.len() > self.group_text_bytes_max {
            self.end_group()?;
        }
        self.row += 1;
        self.group_rows += 1;
        self.group_text_bytes += row.len();
        let (columns, number) = (&mut self.columns, self.row);
        let count = fields(row, &mut self.unescaped, |index, value| match columns.get_mut(index) {
            Some(column) => column.push(value, number),
            None => Ok(()),
        })?;
        if count != self.columns.len() {
            return Err(ExportError::Malformed {
                what: format!("row {number} has {count} fields in place of {}", self.columns.len()),
            });
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ExportError> {
        let written = self.write_group();
        self.group_rows = 0;
        self.group_text_bytes = 0;
        written.map_err(|error| failure(&mut self.file, error))
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else {
                return Err(ParquetError::General("a column without a place".to_owned()));
            };
            column.write(&mut writer)?;
            writer.close()?;
        }
        group.close().map(drop)
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<(), ExportError> {
        if self.group_rows > 0 {
            self.end_group()?;
        }
        match self.file.finish() {
            Ok(_) => Ok(()),
            Err(error) => Err(failure(&mut self.file, error)),
        }
    }
}

/// What failed: the output, where it did.
fn failure(file: &mut SerializedFileWriter<Sink<'_>>, error: ParquetError) -> ExportError {
    file.inner_mut().error.take().unwrap_or(ExportError::Parquet(error))
}

/// The output, as the writer of Parquet wants one.
struct Sink<'o> {
    output: &'o mut Output,
    error: Option<ExportError>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.output.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                let message = error.to_string();
                self.error.get_or_insert(error);
                Err(io::Error::other(message))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pages(compression: Compression) -> Result<ParquetCompression, ParquetError> {
    Ok(match compression.codec() {
        // Levels of the two libraries differ, and 9 is the highest that both have.
        Codec::Gzip => ParquetCompression::GZIP(GzipLevel::try_new(compression.level().clamp(1, 9).unsigned_abs())?),
        Codec::Zstd => ParquetCompression::ZSTD(ZstdLevel::try_new(compression.level())?),
    })
}

fn schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
    Type::group_type_builder("schema")
        .with_fields(fields)
        .build()
        .map(Arc::new)
}

/// A column; every one may be NULL, since nothing tells of the columns of a query.
fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    if column.array_delimiter.is_none() {
        return primitive(&column.name, column.kind).map(Arc::new);
    }
    // <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists>
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(primitive("element", column.kind)?)])
        .build()?;
    Type::group_type_builder(&column.name)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)])
        .build()
        .map(Arc::new)
}

fn primitive(name: &str, kind: ColumnKind) -> Result<Type, ParquetError> {
    let integer = |bit_width| LogicalType::Integer {
        bit_width,
        is_signed: true,
    };
    let timestamp = |is_adjusted_to_u_t_c| LogicalType::Timestamp {
        is_adjusted_to_u_t_c,
        unit: TimeUnit::MICROS,
    };
    let (physical, logical) = match kind {
        ColumnKind::Bool => (PhysicalType::BOOLEAN, None),
        ColumnKind::Int16 => (PhysicalType::INT32, Some(integer(16))),
        ColumnKind::Int32 => (PhysicalType::INT32, Some(integer(32))),
        ColumnKind::Int64 | ColumnKind::Oid => (PhysicalType::INT64, Some(integer(64))),
        ColumnKind::Float32 => (PhysicalType::FLOAT, None),
        ColumnKind::Float64 => (PhysicalType::DOUBLE, None),
        ColumnKind::Decimal { precision, scale } => (
            PhysicalType::FIXED_LEN_BYTE_ARRAY,
            Some(LogicalType::Decimal {
                scale: scale.into(),
                precision: precision.into(),
            }),
        ),
        ColumnKind::Bytes => (PhysicalType::BYTE_ARRAY, None),
        ColumnKind::Date => (PhysicalType::INT32, Some(LogicalType::Date)),
        ColumnKind::Timestamp => (PhysicalType::INT64, Some(timestamp(false))),
        ColumnKind::TimestampTz => (PhysicalType::INT64, Some(timestamp(true))),
        ColumnKind::Uuid => (PhysicalType::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)),
        ColumnKind::Json => (PhysicalType::BYTE_ARRAY, Some(LogicalType::Json)),
        ColumnKind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let builder = Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical);
    match kind {
        ColumnKind::Decimal { precision, scale } => builder
            .with_length(value::DECIMAL_BYTES)
            .with_precision(precision.into())
            .with_scale(scale.into())
            .build(),
        ColumnKind::Uuid => builder.with_length(value::UUID_BYTES).build(),
        _ => builder.build(),
    }
}
