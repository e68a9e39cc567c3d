/**
 * calibration/: raw score to probability, by the model's own table.
 *
 * Takes: logits of one model. Gives: probabilities in [0, 1]. Owns: the compiled tables.
 * Never: does I/O after load, sees a request or a price. Fails: only at load, naming the field.
 */
export { type Calibrator, compileCalibration } from './calibration.js';
