import * as tf from '@tensorflow/tfjs'
import type { Cluster } from '../../src/train/cluster/cluster.js'

/**
 * Runs what several workers do in this one process: each in turn, again and again. In a pass the sums that all workers were seen to ask
 * for in the passes before are right, so that after as many passes as there are sums all are.
 *
 * @param run the same in every pass; it may not keep anything from one to the next
 * @returns what each worker returned in the last pass
 */
export async function simulatedWorkers<T>(size: number, run: (cluster: Cluster) => Promise<T>): Promise<T[]> {
  const asked: Float32Array[][] = []
  for (let pass = 0; ; pass++) {
    const results: T[] = []
    let calls = 0
    for (let index = 0; index < size; index++) {
      calls = 0
      const allReduce = (values: tf.Tensor1D): tf.Tensor1D => {
        const ofCall = asked[calls] ?? []
        asked[calls] = ofCall
        calls++
        ofCall[index] = values.dataSync<'float32'>().slice()
        // What another pass asked for may be of another length, until the sums before it are right.
        const others = ofCall.filter((other, worker) => worker !== index && other.length === values.size)
        return tf.tidy(() =>
          others.reduce<tf.Tensor1D>((sum, other) => tf.add(sum, tf.tensor1d(other)), tf.clone(values)),
        )
      }
      const startAllReduce = (values: tf.Tensor1D) => {
        const sum = tf.keep(allReduce(values))
        return () => tf.tidy(() => tf.clone(sum))
      }
      results.push(await run({ size, index, allReduce, startAllReduce }))
    }
    if (pass > calls) return results
  }
}
