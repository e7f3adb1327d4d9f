import { multipliesBfloat16 } from '../src/backend/native/processor.js'
import type { Precision } from '../src/backend/precision.js'

/** How a training step computes. */
export type ComputeMode = Precision | 'float32, low memory'

/** Every mode, in the order of the tables. */
export const modes: readonly ComputeMode[] = ['float32', 'float32, low memory', 'bf16']

/** The modes in which this library trains with a backend on this processor. */
export function ownModes(backend: string): readonly ComputeMode[] {
  const bfloat16 = (backend === 'auto' || backend === 'tensorflow') && multipliesBfloat16()
  return modes.filter(mode => mode !== 'bf16' || bfloat16)
}
