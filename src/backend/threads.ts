import { availableParallelism } from 'node:os'
import * as tf from '@tensorflow/tfjs-core'

/** Threads that the current backend computes with; wasm has one in Node.js, as plain JavaScript has. */
export function backendThreads(): number {
  return tf.getBackend() === 'tensorflow' ? tensorFlowThreads() : 1
}

/**
 * Threads that native TensorFlow shares one operation among: TF_NUM_INTRAOP_THREADS, else the processors that this
 * process may use.
 */
export function tensorFlowThreads(env: Readonly<Record<string, string | undefined>> = process.env): number {
  const requested = Number(env.TF_NUM_INTRAOP_THREADS)
  return Number.isInteger(requested) && requested > 0 ? requested : availableParallelism()
}

/**
 * Lets native TensorFlow share operations among so many threads, unless the user has said how many. TensorFlow reads it when it is
 * loaded: later it changes nothing.
 */
export function preferThreads(count: number, env: Record<string, string | undefined> = process.env): void {
  if (!env.TF_NUM_INTRAOP_THREADS) env.TF_NUM_INTRAOP_THREADS = String(count)
}
