//! json2
