//! Where a run keeps snapshot, ledger, undo, results and plan: a folder or a volume, below `<namespace>/<name>/`.
