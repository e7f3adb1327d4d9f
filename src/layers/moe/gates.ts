import * as tf from '@tensorflow/tfjs-core'

/**
 * The operations that gates are made of. Their scores lie along the last axis; they are tensors, or values of an exported
 * graph.
 */
export interface GateMath<T> {
  softmax(scores: T): T
  /** (B,K,N) -> (B,K,L): the L largest, largest first. */
  largest(scores: T): T
  times(scores: T, factor: number): T
}

/** What gates can depend on. */
export interface GateInputs<T> {
  /** (B,K,L) scores of the kept patches, best first. */
  readonly kept: T
  /** (B,K,N) scores of all patches. */
  readonly all: T
  /** (B,K,L) ones, NaN where a score is not finite. */
  ones(): T
}

/** What a gate's gradient is computed from. */
export interface GateState {
  /** (B,K,L), gate scale included. */
  readonly gates: tf.Tensor3D
  /** What the gate scale multiplied them by. */
  readonly factor: number
  /** (B,K,N), where the gate's forward pass returned them. */
  readonly probabilities?: tf.Tensor3D
}

/** The derivative of a loss by the scores. */
export interface ScoreGradient {
  /** (B,K,L) by the scores of kept patches. */
  readonly kept: tf.Tensor3D
  /** (B,K,N) a further part, by the scores of all patches; only for gates that depend on all scores. */
  readonly all?: tf.Tensor3D
}

/** One kind of gate: everything in which kinds differ. */
export interface GateKind {
  /** The scores that the gates depend on; only through these does the router get a gradient. */
  readonly dependsOn: 'kept' | 'all' | 'nothing'
  /** What 'mean-one' multiplies the gates by, so that equal scores give gates of 1. */
  meanOneFactor(patchesPerExpert: number, patches: number): number
  /** The gates before scaling, (B,K,L), and, if the gradient needs them, the probabilities of all patches, (B,K,N). */
  forward<T>(scores: GateInputs<T>, math: GateMath<T>): { readonly gates: T; readonly probabilities?: T }
  /**
   * The derivative by the scores; undefined where the gates depend on no score.
   *
   * @param dGates (B,K,L) derivative by the scaled gates
   */
  gradient(dGates: tf.Tensor3D, state: GateState): ScoreGradient | undefined
}

const builtIn = {
  /** Softmax over the L kept scores (joint training, eq. 4). */
  'softmax-selected': {
    dependsOn: 'kept',
    meanOneFactor: patchesPerExpert => patchesPerExpert,
    forward: ({ kept }, math) => ({ gates: math.softmax(kept) }),
    // dL/dg_j = G_j (dL/dG_j - sum_i G_i dL/dG_i) over kept patches i: the inner part of eq. (26).
    gradient: (dGates, { gates, factor }) => {
      const weighted: tf.Tensor3D = tf.mul(dGates, gates)
      // Gates are L (or 1) times a softmax; the softmax itself weighs the total.
      const softmax = tf.div(gates, factor)
      return { kept: tf.sub(weighted, tf.mul(softmax, tf.sum(weighted, 2, true))) }
    },
  },
  /** Softmax over all N scores, of which the L largest are kept as they are (the published WRN code). */
  'softmax-all': {
    dependsOn: 'all',
    meanOneFactor: (_, patches) => patches,
    forward: ({ all }, math) => {
      const probabilities = math.softmax(all)
      // Softmax keeps the order of the scores, so its L largest values belong to the patches already chosen.
      return { gates: math.largest(probabilities), probabilities }
    },
    gradient: (dGates, { gates, probabilities }) => {
      const weighted: tf.Tensor3D = tf.mul(dGates, gates)
      const total = tf.sum(weighted, 2, true)
      return { kept: weighted, all: tf.neg(tf.mul(probabilities as tf.Tensor3D, total)) as tf.Tensor3D }
    },
  },
  /** 1 (separate training, eq. 3); the router then gets no gradient. */
  uniform: {
    dependsOn: 'nothing',
    meanOneFactor: () => 1,
    forward: scores => ({ gates: scores.ones() }),
    gradient: () => undefined,
  },
} as const satisfies Readonly<Record<string, GateKind>>

/** The name of a gate of this library; the entries of the table above describe them. */
export type Gate = keyof typeof builtIn

/** The names of the gates of this library. */
export const GATES = Object.keys(builtIn) as readonly Gate[]

const kinds = new Map<string, GateKind>(Object.entries(builtIn))

/**
 * Adds a kind of gate, which layers then take by its name.
 *
 * @throws RangeError when the name is taken
 */
export function registerGate(name: string, kind: GateKind): void {
  if (kinds.has(name)) throw new RangeError(`registerGate: name must be a new one, got '${name}'`)
  kinds.set(name, kind)
}

/** The names of all gates, registered ones included. */
export function gateNames(): readonly Gate[] {
  return [...kinds.keys()] as Gate[]
}

/**
 * The kind of gate of a name.
 *
 * @throws RangeError when there is none
 */
export function gateKind(name: Gate): GateKind {
  const kind = kinds.get(name)
  if (kind) return kind
  throw new RangeError(`gateKind: gate must be one of ${gateNames().join(', ')}, got ${name}`)
}

/**
 * How gates are scaled.
 * - `none`: as in the equations; an expert's softmax gates sum to at most 1
 * - `mean-one`: times L (softmax-selected) or N (softmax-all), so that equal scores give gates of 1
 */
export const GATE_SCALES = ['mean-one', 'none'] as const
export type GateScale = (typeof GATE_SCALES)[number]

/** What gates are multiplied by. */
export function gateFactor(gate: Gate, scale: GateScale, patchesPerExpert: number, patches: number): number {
  return scale === 'none' ? 1 : gateKind(gate).meanOneFactor(patchesPerExpert, patches)
}
