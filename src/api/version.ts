/** The version of what pages and --json answer: a key that is listed keeps its name, type and meaning while this number stays. */

/** In every answer as `schemaVersion`, whoever made it; new keys do not raise it. */
export const SCHEMA_VERSION = 1;
