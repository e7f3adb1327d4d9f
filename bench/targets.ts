import type { Summary } from '../scripts/run/measuring/statistics.js'

/** A number that a measurement is compared with. */
export interface Target {
  readonly id: TargetId
  readonly title: string
  readonly comparison: '<=' | '>' | '>='
  readonly limit: number
  /** What would be better still. */
  readonly stretch?: number
  readonly unit: 'ratio' | 'share'
}

/** What was measured for a target: a median over pairs with its quartiles, or one number. */
export interface Measured {
  readonly value: number
  readonly quartiles?: readonly [number, number]
}

/** What was measured, as far as it was. */
export type MeasuredTargets = Partial<Readonly<Record<TargetId, Measured>>>

/** Names of the targets. */
export type TargetId =
  | 'pmoe/keras'
  | 'pmoe/torch'
  | 'pmoe/torch bf16'
  | 'wrn/keras'
  | 'pmoe/wrn'
  | 'layer 4x4'
  | 'layer 1x1'
  | 'layer 1x1 for 3x3'
  | 'line 4x4'
  | 'line 1x1'
  | 'memory wrn'
  | 'memory pmoe'
  | 'rate wrn'
  | 'rate pmoe'
  | 'wasm wrn'
  | 'wasm pmoe'
  | 'step fresh'
  | 'epoch ahead'
  | 'augment light'
  | 'decode/pillow'
  | 'samples/torch'
  | 'pruned time/work'
  | 'onnx time/work'
  | 'native/onnx 1'
  | 'native/onnx 32'
  | 'wasm/onnxruntime-web'
  | 'routed 512'
  | 'routed 1504'
  | 'routed/torch 512'
  | 'routed/torch 1504'
  | 'routed memory 512'
  | 'routed memory 1504/512'

const step = '64x64, batch 16'
const kept = '10 patches, batch 8'

/** What this library is to reach on a machine with 2 cores. */
export const targets: readonly Target[] = [
  below('pmoe/keras', `WRN-pMoE step, ${step}, float32: ours / Keras, masked`, 0.75, 0.6),
  below('pmoe/torch', `WRN-pMoE step, ${step}, float32: ours / PyTorch, sparse`, 0.83, 0.7),
  below('pmoe/torch bf16', `WRN-pMoE step, ${step}, bf16: ours / PyTorch, sparse`, 1, 0.8),
  below('wrn/keras', `WRN step, ${step}, float32: ours / Keras`, 1, 0.85),
  below('pmoe/wrn', `WRN-pMoE step / WRN step, both ours, ${step}, float32`, 0.82, 0.79),
  below(
    'layer 4x4',
    'PatchMoE / the 3x3 Conv2D in its place, l/n = 1/8, 16x16x640 in 4x4 patches',
    0.2,
    0.15,
  ),
  below(
    'layer 1x1 for 3x3',
    'PatchMoE / the 3x3 Conv2D in its place, l/n = 1/8, 8x8x640 in 1x1 patches',
    0.2,
    0.15,
  ),
  below('layer 1x1', 'PatchMoE / a 1x1 Conv2D, l/n = 1/8, 8x8x640 in 1x1 patches', 0.2, 0.15),
  line('line 4x4', 'R^2 of the time of PatchMoE against l, 16x16x640 in 4x4 patches'),
  line('line 1x1', 'R^2 of the time of PatchMoE against l, 8x8x640 in 1x1 patches'),
  below('memory wrn', `Peak memory, WRN, ${step}, float32: ours / Keras`, 1, 0.8),
  below('memory pmoe', `Peak memory, WRN-pMoE, ${step}, float32: ours / Keras`, 1, 0.8),
  share('rate wrn', `Share of the best float32 convolution rate, WRN step, ${step}`),
  share('rate pmoe', `Share of the best float32 convolution rate, WRN-pMoE step, ${step}`),
  below('wasm wrn', 'WRN-10-1 step, 32x32, batch 16: wasm / plain JavaScript', 1 / 20),
  below('wasm pmoe', 'WRN-pMoE-10-1 step, 32x32, batch 16: wasm / plain JavaScript', 1 / 20),
  below('step fresh', 'WRN-pMoE step, 32x32, batch 64: fresh batches / a fixed batch', 1.03),
  below('epoch ahead', 'Epoch of WRN-10-2, 32x32: images streamed ahead from disk / a fixed batch', 1.03),
  below('augment light', 'Epoch of WRN-10-2, 32x32, batch 128: augmentation light / none', 1.03),
  below('decode/pillow', 'JPEG 178x218 to 64x64 RGB in one process: ours / Pillow', 2, 1),
  below(
    'samples/torch',
    'SampleMoE step, 16000 samples, M = 8, J = 8: ours / PyTorch, its faster form',
    1.5,
    1,
  ),
  below(
    'pruned time/work',
    'WRN-pMoE pruned from 8 to 4 experts, 64x64, batch 64: share of time / share of work',
    1.15,
  ),
  below(
    'onnx time/work',
    'Exported ONNX, sparse / dense less the share of the work, the largest of three networks and batches of 1, 8, 32',
    0.05,
  ),
  below(
    'native/onnx 1',
    'forInference on native TensorFlow / ONNX Runtime, batch 1, the largest of three networks',
    3,
  ),
  below(
    'wasm/onnxruntime-web',
    'WRN-10-2, 32x32, sparse: forInference on wasm / onnxruntime-web, the largest of batches of 1, 8, 32',
    1.2,
  ),
  below(
    'native/onnx 32',
    'forInference on native TensorFlow / ONNX Runtime, batch 32, the largest of three networks',
    1.3,
  ),
  below('routed 512', `Routed step / dense step, 512x512, ${kept}`, 0.12),
  below('routed 1504', `Routed step / dense step, 1504x1504, ${kept}`, 0.03),
  below('routed/torch 512', `Routed step, 512x512, ${kept}: ours / PyTorch`, 0.9),
  below('routed/torch 1504', `Routed step, 1504x1504, ${kept}: ours / PyTorch`, 0.9),
  below('routed memory 512', `Memory that a routed step adds / that a dense one adds, 512x512, ${kept}`, 0.2),
  below('routed memory 1504/512', `Memory that a routed step adds: 1504x1504 / 512x512, ${kept}`, 1.5),
]

/** A median with its quartiles, as what was measured for a target. */
export function asMeasured({ median, lowerQuartile, upperQuartile }: Summary): Measured {
  return { value: median, quartiles: [lowerQuartile, upperQuartile] }
}

/** Whether a measured value reaches its target. */
export function reaches({ comparison, limit }: Target, value: number): boolean {
  if (comparison === '<=') return value <= limit
  return comparison === '>' ? value > limit : value >= limit
}

function below(id: TargetId, title: string, limit: number, stretch?: number): Target {
  return { id, title, comparison: '<=', limit, unit: 'ratio', ...(stretch !== undefined && { stretch }) }
}

function line(id: TargetId, title: string): Target {
  return { id, title, comparison: '>', limit: 0.99, unit: 'ratio' }
}

function share(id: TargetId, title: string): Target {
  return { id, title, comparison: '>=', limit: 0.75, stretch: 0.85, unit: 'share' }
}
