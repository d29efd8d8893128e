package answer

// Kinds is the number of rows.
const Kinds = kinds
