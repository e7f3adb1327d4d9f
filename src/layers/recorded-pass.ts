import * as tf from '@tensorflow/tfjs-core'

/** The operations that tfjs records. */
type Tape = NonNullable<ReturnType<typeof tf.engine>['state']['activeTape']>

/**
 * A forward pass that is computed before the loss it is a part of, so that something can be waited for in between. Its operations are
 * recorded; the loss takes them over instead of computing them again. The variables must be the same by then.
 */
export class RecordedPass<T extends tf.Tensor> {
  /** What was computed; disposed by `take` or `dispose`. */
  readonly value: T
  private readonly tape: Tape

  /** @param compute the pass */
  constructor(compute: () => T) {
    const { state } = tf.engine()
    const outer = { activeTape: state.activeTape, gradientDepth: state.gradientDepth }
    const tape: Tape = []
    Object.assign(state, { activeTape: tape, gradientDepth: 1 })
    this.tape = tape
    try {
      this.value = tf.keep(tf.tidy(compute))
    } catch (error) {
      this.disposeSaved()
      throw error
    } finally {
      Object.assign(state, outer)
    }
  }

  /** The value as if it were computed now; where something is being differentiated, it is by the variables of the pass. Once. */
  take(): T {
    const { state } = tf.engine()
    const isDifferentiated = state.gradientDepth > 0 && state.kernelDepth === 0
    if (isDifferentiated) state.activeTape?.push(...this.tape)
    else this.disposeSaved()
    // The clone is an operation of the present tape, which carries the derivative on to those of the pass.
    const value = tf.clone(this.value)
    this.value.dispose()
    return value
  }

  /** Frees all of it, where nobody takes it. */
  dispose(): void {
    this.value.dispose()
    this.disposeSaved()
  }

  private disposeSaved(): void {
    for (const { saved } of this.tape) tf.dispose(saved ?? [])
  }
}
