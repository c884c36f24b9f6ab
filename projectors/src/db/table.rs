//! Tables as data, and the SQL that follows from them in each dialect.

/// The kinds of databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    MySql,
    Sqlite,
}

/// The handling of an inserted row whose key already exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The new row replaces the existing one.
    Replace,
    /// The existing row stays; the new one is dropped.
    Keep,
    /// The statement fails.
    Fail,
}

/// The type of a column's values.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Int,
    /// Text in a key, with its maximum length in bytes. Compared byte by byte, including trailing spaces.
    Word(u16),
    Text,
    /// Bytes in a key, with their maximum length.
    Bytes(u16),
    Blob,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    kind: Kind,
    nullable: bool,
}

/// A table. Its first `key` columns are its primary key.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) key: usize,
    /// Name and columns of each further index.
    pub(crate) indexes: &'static [(&'static str, &'static str)],
    /// True if old rows are deleted by age: then two replicas need not have equal rows.
    pub(crate) pruned: bool,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false }
}
pub(crate) const fn int(name: &'static str) -> Column {
    column(name, Kind::Int)
}
pub(crate) const fn word(name: &'static str, bytes_max: u16) -> Column {
    column(name, Kind::Word(bytes_max))
}
pub(crate) const fn text(name: &'static str) -> Column {
    column(name, Kind::Text)
}
pub(crate) const fn bytes(name: &'static str, bytes_max: u16) -> Column {
    column(name, Kind::Bytes(bytes_max))
}
pub(crate) const fn blob(name: &'static str) -> Column {
    column(name, Kind::Blob)
}
pub(crate) const fn optional(of: Column) -> Column {
    Column { nullable: true, ..of }
}

/// Returns a column type's name in DDL.
fn type_of(kind: Kind, dialect: Dialect) -> String {
    match (dialect, kind) {
        (Dialect::MySql, Kind::Int) => "BIGINT".into(),
        (Dialect::MySql, Kind::Word(max) | Kind::Bytes(max)) => format!("VARBINARY({max})"),
        (Dialect::MySql, Kind::Text) => "LONGTEXT".into(),
        (Dialect::MySql, Kind::Blob) => "LONGBLOB".into(),
        (Dialect::Sqlite, Kind::Int) => "INTEGER".into(),
        (Dialect::Sqlite, Kind::Word(_) | Kind::Text) => "TEXT".into(),
        (Dialect::Sqlite, Kind::Bytes(_) | Kind::Blob) => "BLOB".into(),
    }
}

impl Table {
    /// Returns the names of all columns, as `a, b, c`.
    pub(crate) fn names(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the names of the key's columns, as in `ORDER BY`.
    pub(crate) fn key_names(&self) -> String {
        self.columns[..self.key].iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the statements that create the table and its indexes if they do not exist.
    pub(super) fn ddl(&self, dialect: Dialect) -> Vec<String> {
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let null = if column.nullable { "" } else { " NOT NULL" };
                format!("{} {}{null}", column.name, type_of(column.kind, dialect))
            })
            .collect();
        parts.push(format!("PRIMARY KEY ({})", self.key_names()));
        let indexes = self.indexes.iter();
        match dialect {
            Dialect::MySql => {
                parts.extend(indexes.map(|(name, columns)| format!("KEY {name} ({columns})")));
                vec![format!(
                    "CREATE TABLE IF NOT EXISTS {} ({}) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
                    self.name,
                    parts.join(", ")
                )]
            }
            Dialect::Sqlite => {
                let table =
                    format!("CREATE TABLE IF NOT EXISTS {} ({}) STRICT, WITHOUT ROWID", self.name, parts.join(", "));
                let indexes = indexes.map(|(name, columns)| {
                    format!("CREATE INDEX IF NOT EXISTS {}_{name} ON {} ({columns})", self.name, self.name)
                });
                std::iter::once(table).chain(indexes).collect()
            }
        }
    }

    /// An insert of `rows` rows.
    pub(super) fn insert(&self, dialect: Dialect, rows: usize, conflict: Conflict) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let values = vec![row.as_str(); rows].join(", ");
        format!("INSERT INTO {} ({}) VALUES {values}{}", self.name, self.names(), self.on_conflict(dialect, conflict))
    }

    fn on_conflict(&self, dialect: Dialect, conflict: Conflict) -> String {
        let rest = match conflict {
            Conflict::Fail => return String::new(),
            Conflict::Keep => &[],
            Conflict::Replace => &self.columns[self.key..],
        };
        let set = |of: fn(&str) -> String| {
            let sets: Vec<String> =
                rest.iter().map(|column| format!("{} = {}", column.name, of(column.name))).collect();
            sets.join(", ")
        };
        match (dialect, rest.is_empty()) {
            // Not INSERT IGNORE: that would also ignore what does not fit.
            (Dialect::MySql, true) => format!(" ON DUPLICATE KEY UPDATE {0} = {0}", self.columns[0].name),
            (Dialect::MySql, false) => format!(" ON DUPLICATE KEY UPDATE {}", set(|name| format!("VALUES({name})"))),
            (Dialect::Sqlite, true) => format!(" ON CONFLICT ({}) DO NOTHING", self.key_names()),
            (Dialect::Sqlite, false) => {
                format!(" ON CONFLICT ({}) DO UPDATE SET {}", self.key_names(), set(|name| format!("excluded.{name}")))
            }
        }
    }

    /// A condition that holds for `keys` keys. Each term is whole, so that both databases look up key by key.
    pub(super) fn keyed(&self, keys: usize) -> String {
        let terms: Vec<String> = self.columns[..self.key].iter().map(|column| format!("{} = ?", column.name)).collect();
        let term = format!("({})", terms.join(" AND "));
        vec![term.as_str(); keys].join(" OR ")
    }
}
