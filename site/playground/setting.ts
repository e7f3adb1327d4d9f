/** What a visitor can set: tasks and, for each, the numbers that its networks can have. */

/** The tasks of the playground. */
export const TASKS = ['digits', 'quadrants', 'defect', 'own'] as const
export type Task = (typeof TASKS)[number]

/** What can be asked to compute; `auto` takes the fastest that there is. */
export const BACKENDS = ['auto', 'webgpu', 'webgl', 'wasm', 'webgpu-software', 'webgl-software'] as const
export type BackendName = (typeof BACKENDS)[number]

/** How routers are trained: with the experts, or before them and then frozen. */
export type RouterTraining = 'joint' | 'separate'

/** All that a training follows from. */
export interface Setting {
  readonly task: Task
  /** K, experts of the mixture. */
  readonly k: number
  /** L, patches that each expert keeps. */
  readonly l: number
  /** Side of a patch, in pixels of the image. */
  readonly patch: number
  readonly gate: string
  readonly routers: RouterTraining
  /** N, training images; of own pictures all are taken. */
  readonly n: number
  readonly seed: number
  readonly backend: BackendName
}

/** What a task is, and which settings it can have. */
export interface TaskRange {
  readonly title: string
  /** What is to be found, in one sentence. */
  readonly question: string
  /** Height and width of its images, in pixels. */
  readonly side: number
  readonly numExperts: readonly number[]
  readonly patchSizes: readonly number[]
  readonly gates: readonly string[]
  readonly images: readonly number[]
  /** Experts that separate training of routers needs, as many as classes; absent where routers learn with the experts alone. */
  readonly separateExperts?: number
  /** Most patches that an expert keeps. */
  readonly mostKept: number
  readonly initial: Pick<Setting, 'k' | 'l' | 'patch' | 'gate' | 'n'>
}

const gates = ['softmax-selected', 'softmax-all', 'uniform'] as const
const images = [100, 200, 300, 500, 1000] as const
const manyExperts = [1, 2, 4, 5, 8, 10, 20] as const

/** Every task, as its controls show it. */
export const taskRanges: Readonly<Record<Task, TaskRange>> = {
  digits: {
    title: 'Digits among digits',
    question: 'Is there a 0 or a 1 among sixteen handwritten digits?',
    side: 32,
    numExperts: manyExperts,
    patchSizes: [4, 8, 16],
    gates,
    images,
    separateExperts: 2,
    mostKept: 16,
    initial: { k: 8, l: 6, patch: 8, gate: 'softmax-selected', n: 500 },
  },
  quadrants: {
    title: 'Quadrants',
    question: 'Which accessory is in one of four quadrants, among clothes?',
    side: 32,
    numExperts: manyExperts,
    patchSizes: [4, 8, 16],
    gates,
    images,
    separateExperts: 4,
    mostKept: 16,
    initial: { k: 4, l: 2, patch: 16, gate: 'softmax-selected', n: 500 },
  },
  defect: {
    title: 'A defect in a large image',
    question: 'Is there a scratch of ten pixels somewhere on this cloth?',
    side: 192,
    numExperts: [1, 2, 3, 4],
    patchSizes: [16, 32, 64],
    gates: ['product', ...gates],
    images: [100, 200, 300, 500],
    mostKept: 12,
    initial: { k: 1, l: 6, patch: 16, gate: 'product', n: 300 },
  },
  own: {
    title: 'Your own pictures',
    question: 'Two to ten classes of pictures. They stay on this device.',
    side: 64,
    numExperts: manyExperts,
    patchSizes: [8, 16, 32],
    gates,
    images,
    mostKept: 16,
    initial: { k: 4, l: 4, patch: 16, gate: 'softmax-selected', n: 1000 },
  },
}

/** The setting that a task begins with. */
export function initialSetting(task: Task, others: Partial<Setting> = {}): Setting {
  return { task, routers: 'joint', seed: 1, backend: 'auto', ...taskRanges[task].initial, ...others }
}

/** Patches of an image. */
export function patchCount({ task, patch }: Pick<Setting, 'task' | 'patch'>): number {
  return (taskRanges[task].side / patch) ** 2
}

/** The most patches that an expert can keep. */
export function mostKept(setting: Pick<Setting, 'task' | 'patch'>): number {
  return Math.min(patchCount(setting), taskRanges[setting.task].mostKept)
}

/**
 * The setting with one part changed, and those that depend on it: experts keep no more patches than there are, and as many experts
 * are trained as routers trained separately need.
 */
export function changed(setting: Setting, change: Partial<Setting>): Setting {
  const next = { ...setting, ...change }
  if (change.task !== undefined && change.task !== setting.task)
    return initialSetting(next.task, { backend: next.backend, seed: next.seed })
  const { separateExperts } = taskRanges[next.task]
  const leavesSeparate = change.k !== undefined && change.k !== separateExperts
  const routers = separateExperts === undefined || leavesSeparate ? 'joint' : next.routers
  const k = routers === 'separate' && separateExperts !== undefined ? separateExperts : next.k
  return { ...next, routers, k, l: Math.min(next.l, mostKept(next)) }
}
