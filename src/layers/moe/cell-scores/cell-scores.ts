import * as tf from '@tensorflow/tfjs-core'
import { fixInput } from '../../fixed-inputs.js'
import { withoutGradient } from '../../hand-gradient.js'
import { isPixelTensor } from '../../pixels.js'
import { RecordedPass } from '../../recorded-pass.js'
import { type CellGrid, paddedTo, wholeView } from '../cells.js'
import { type PriorFunction, priorOfCells } from '../priors.js'
import { notFinite } from '../routing.js'

/** What scores follow from. */
export interface ScoreParts {
  readonly grid: CellGrid
  /** K. */
  readonly numExperts: number
  /** The router: from (B,h,w,C), whole cells, to (B, rows, columns, K). */
  readonly router: (view: tf.Tensor4D, training: boolean) => tf.Tensor
  /** Whether the router computes the same in training and in inference. */
  readonly isSameInTraining: boolean
  /** The prior that is added now; undefined where there is none, or it has ended. */
  readonly prior: () => PriorFunction | undefined
  readonly priorWeight: number
  /** The caller's name, for errors. */
  readonly where: string
}

/** The scores of the cells of views: the router's, and what a prior adds. What was computed to choose cells is not computed again. */
export class CellScores {
  private readonly parts: ScoreParts
  /** Priors of views that cells were chosen from. */
  private readonly knownPriors = new WeakMap<tf.Tensor, Float32Array>()
  /** The scores of the view that cells were chosen from last, for a step of training on it. */
  private forStep: { readonly view: tf.Tensor4D; readonly pass: RecordedPass<tf.Tensor3D> } | undefined

  constructor(parts: ScoreParts) {
    this.parts = parts
  }

  /**
   * (B,K,N) scores of all cells, prior included; all NaN for an expert and image where one is not finite, or a number of the view:
   * ReLUs of a backend may lose NaN.
   *
   * @param view (B,h,w,C) float32
   */
  of(view: tf.Tensor4D, training: boolean): tf.Tensor3D {
    if (!training || this.forStep?.view !== view) return this.computed(view, training, this.priorOf(view))
    const { pass } = this.forStep
    this.forStep = undefined
    return pass.take()
  }

  /**
   * The cells of the largest scores in inference, best first, copied to memory.
   *
   * @param view (B,h,w,C) float32
   * @param count L
   * @param isForStep whether a step of training with this tensor comes next: where the router computes the same in training, its forward
   *   pass is kept for it, until it is used or cells are chosen again
   * @returns (B,K,L)
   */
  async choose(view: tf.Tensor4D, count: number, isForStep: boolean): Promise<Int32Array> {
    this.dispose()
    const prior = tf.tidy(() => this.priorOf(view))
    const pass =
      isForStep && this.parts.isSameInTraining
        ? new RecordedPass(() => this.computed(view, true, prior))
        : undefined
    if (pass) this.forStep = { view, pass }
    const indices = tf.tidy(() => {
      const scores = pass?.value ?? this.computed(view, false, prior)
      return tf.topk(scores, count, true).indices
    })
    try {
      const [cells, values] = await Promise.all([
        indices.data<'int32'>(),
        pass ? undefined : prior?.data<'float32'>(),
      ])
      if (values) this.knownPriors.set(view, values.slice())
      return cells.slice()
    } finally {
      tf.dispose([indices, ...(prior ? [prior] : [])])
    }
  }

  /** Frees what is kept for a step. */
  dispose(): void {
    this.forStep?.pass.dispose()
    this.forStep = undefined
  }

  private computed(view: tf.Tensor4D, training: boolean, prior: tf.Tensor3D | undefined): tf.Tensor3D {
    const { grid, numExperts, router } = this.parts
    const whole = withoutGradient(() => fixInput(tf.clone(paddedTo(view, wholeView(grid)))))
    const byCell = tf.reshape(router(whole, training), [-1, grid.count, numExperts])
    const learned =
      numExperts === 1 ? tf.reshape(byCell, [-1, 1, grid.count]) : tf.transpose(byCell, [0, 2, 1])
    const scores = (prior ? tf.add(learned, prior) : learned) as tf.Tensor3D
    return tf.add(
      scores,
      withoutGradient(() => {
        // What is made of bytes is finite, and need not be read once more.
        if (isPixelTensor(view)) return notFinite(scores)
        return tf.add(notFinite(scores), notFinite(tf.reshape(view, [view.shape[0], 1, -1])))
      }),
    )
  }

  /** (B,1,N) what is added to the router's scores. */
  private priorOf(view: tf.Tensor4D): tf.Tensor3D | undefined {
    const { grid, prior, priorWeight, where } = this.parts
    const compute = prior()
    if (!compute) return undefined
    const known = this.knownPriors.get(view)
    if (known) return tf.tensor3d(known, [view.shape[0], 1, grid.count])
    return withoutGradient(() =>
      tf.tidy(() => tf.mul<tf.Tensor3D>(priorOfCells(compute, view, grid, where), priorWeight)),
    )
  }
}
