/** The bounds of a model's configuration and files. */
/** Each level is a queue of its own, and every choice of a batch looks at them in order. */
export const PRIORITY_LEVELS_MAX = 100;
/** More threads than any machine this runs on has cores; 0 leaves the choice to ONNX Runtime. */
export const THREADS_PER_SESSION_MAX = 256;
/** Of one model; each is a thread with a session of its own. */
export const INSTANCES_MAX = 256;
/** A warm-up sample is one row; the largest image models take a few MiB. */
export const WARM_UP_BYTES_MAX = 64 * 1024 * 1024;
/** Runs of one warm-up sample: a slip of the pen must not keep a server from becoming ready for hours. */
export const WARM_UP_RUNS_MAX = 10_000;
/** Files of one load call: a model with its versions, labels and warm-up data has a few dozen. */
export const OVERRIDE_FILES_MAX = 1000;
/** Depth of a model's folder as far as changes are looked for: version, then what external data a graph may nest. */
export const FOLDER_DEPTH_MAX = 8;
