import { type BackendName, backendNames } from '../../../src/backend/backends.js'
import type { FeedingOptions } from '../../../src/export/feeding.js'

/** What computes a network: tfjs layer by layer or frozen, ONNX Runtime, or native TensorFlow a SavedModel. */
export type Engine = 'layers' | 'forInference' | 'onnx' | 'savedmodel'

/** Where networks can be measured: the backends of tfjs, and ONNX Runtime. */
export type MeasuredBackend = BackendName | 'onnxruntime'

/** Every place, in the order of tables. */
export const measuredBackends: readonly MeasuredBackend[] = [...backendNames, 'onnxruntime']

/** One input of a network. */
export interface FedInput extends FeedingOptions {
  /** Of one sample, channels last. */
  readonly shape: readonly number[]
}

/** One measurement: a network, what computes it, and how many samples at a time. */
export interface LatencyJob {
  readonly kind: 'latency'
  readonly engine: Engine
  /** A run, a folder of a saved model, an ONNX file or a SavedModel. */
  readonly path: string
  readonly backend: MeasuredBackend
  readonly threads: number
  readonly batch: number
  readonly inputs: readonly FedInput[]
  /** File of pixels 0..255 of images of the first input, one after the other; noise unless given. */
  readonly images?: string
  /** Predictions before the ones that are timed, at most; at least one is made. */
  readonly warmUp: number
  /** Timed predictions, at most. */
  readonly runs: number
  /** After which no further prediction begins, both of the warm-up and of the timed ones. */
  readonly seconds: number
}

/** Makes ready what is measured of a model: its exports, its dense network, its images. */
export interface PreparationJob {
  readonly kind: 'preparation'
  /** As a person named it. */
  readonly path: string
  /** An empty folder for what is made. */
  readonly folder: string
  readonly images: readonly string[]
}

/** What a process of `latency-worker` is to do. */
export type WorkerJob = LatencyJob | PreparationJob

/** What such a process prints as its last line where it fails. */
export interface WorkerFailure {
  readonly error: string
}
