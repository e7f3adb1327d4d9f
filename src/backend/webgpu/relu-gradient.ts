import type * as tf from '@tensorflow/tfjs-core'
import { asTensor, flatSize, flatWorkgroups, newTensor, runProgram, wholeNumbers } from './device-program.js'

/** WGSL: the derivative before a ReLU, from that after it and its output; where this is NaN, so is the derivative. */
export const reluSlope = `
fn beforeRelu(dy: f32, y: f32) -> f32 {
  if (isNan(y)) { return y; }
  return select(0.0, dy, y > 0.0);
}`

/** The derivative of ReLU from its output, in one dispatch. */
export function reluGradient<T extends tf.Tensor>(dy: T, output: T): T {
  if (dy.size === 0) return dy.clone()
  const dx = newTensor(dy.shape)
  runProgram({
    name: 'ReluGradient',
    written: [{ name: 'dx', tensor: dx }],
    read: [
      { name: 'dy', tensor: dy },
      { name: 'y', tensor: output },
    ],
    uniforms: wholeNumbers({ size: dy.size }),
    workgroupSize: flatSize,
    workgroups: flatWorkgroups(dy.size),
    declarations: () => reluSlope,
    body: () =>
      'if (flatIndex < uniforms.size) { dx[flatIndex] = beforeRelu(dyAt(flatIndex), yAt(flatIndex)); }',
  })
  return asTensor(dx)
}
