/** What the page knows, and how it follows from what the worker tells. */
import type {
  EpochResult,
  Look,
  NetworkName,
  PictureClass,
  Report,
  SessionFacts,
  WallImages,
} from './protocol.js'
import type { Setting } from './setting.js'

/** Something that went wrong, for people. */
export interface Problem {
  readonly message: string
  /** Whether WebAssembly may go on instead. */
  readonly offersWasm: boolean
}

/** The visitor's pictures. */
export interface OwnPictures {
  readonly classes: readonly PictureClass[]
  /** How many of all are read, while they are. */
  readonly decoding?: { readonly done: number; readonly total: number } | undefined
  readonly result?: Extract<Report, { readonly type: 'pictures' }> | undefined
}

/** All that the views show. */
export interface PageState {
  readonly setting: Setting
  /** The number of the session that is shown; reports of others are dropped. */
  readonly session: number
  /** What the visitor asked for. */
  readonly wantsRunning: boolean
  readonly isRunning: boolean
  readonly isDone: boolean
  readonly backend?: { readonly name: string; readonly reason: string } | undefined
  readonly wall?: WallImages | undefined
  readonly facts?: SessionFacts | undefined
  readonly history: Readonly<Record<NetworkName, readonly EpochResult[]>>
  readonly progress: Readonly<
    Partial<Record<NetworkName, { readonly epoch: number; readonly share: number }>>
  >
  readonly look?: Look | undefined
  /** The expert whose patches are lit alone; all unless given. */
  readonly expert?: number | undefined
  /** Sentences of the library on what it noticed, and on an address that could not be read. */
  readonly remarks: readonly string[]
  readonly problem?: Problem | undefined
  readonly own: OwnPictures
}

/** The state in which a page is opened. */
export function firstState(setting: Setting, remarks: readonly string[] = []): PageState {
  return {
    setting,
    session: 0,
    wantsRunning: true,
    isRunning: false,
    isDone: false,
    history: { dense: [], mixture: [] },
    progress: {},
    remarks,
    own: { classes: [] },
  }
}

/** The state with a session that was asked for, of which nothing is known. What is on the wall stays where the images are the same. */
export function opened(state: PageState, setting: Setting): PageState {
  const { task, n, seed } = state.setting
  const isSameWall = setting.task === task && (task !== 'own' || (setting.n === n && setting.seed === seed))
  return {
    ...firstState(setting),
    session: state.session + 1,
    wantsRunning: state.wantsRunning,
    own: state.own,
    backend: state.backend,
    wall: isSameWall ? state.wall : undefined,
    facts: isSameWall ? state.facts : undefined,
    expert: state.expert !== undefined && state.expert < setting.k ? state.expert : undefined,
  }
}

/** The state after a report. */
export function reported(state: PageState, report: Report): PageState {
  if ('session' in report && report.session !== state.session) return state
  switch (report.type) {
    case 'backend':
      return { ...state, backend: { name: report.name, reason: report.reason } }
    case 'wall':
      return { ...state, wall: report.wall }
    case 'ready':
      return { ...state, facts: report.facts }
    case 'epoch':
      return withEpoch(state, report.network, report.result)
    case 'progress': {
      const { network, epoch, share } = report
      return { ...state, progress: { ...state.progress, [network]: { epoch, share } } }
    }
    case 'look':
      return { ...state, look: report.look }
    case 'running':
      return { ...state, isRunning: report.isRunning }
    case 'done':
      return { ...state, isRunning: false, wantsRunning: false, isDone: true }
    case 'remark':
      return { ...state, remarks: [...state.remarks, report.remark] }
    case 'failed':
      return { ...state, isRunning: false, problem: problemOf(state, report) }
    case 'loaded':
      return { ...state, setting: report.setting }
    case 'decoding':
      return { ...state, own: { ...state.own, decoding: report } }
    case 'pictures':
      return { ...state, own: { ...state.own, decoding: undefined, result: report } }
    case 'saved':
      return state
  }
}

function withEpoch(state: PageState, network: NetworkName, result: EpochResult): PageState {
  const history = { ...state.history, [network]: [...state.history[network], result] }
  return { ...state, history, progress: { ...state.progress, [network]: undefined } }
}

function problemOf(
  { setting, backend }: PageState,
  { message, isDevice }: Extract<Report, { readonly type: 'failed' }>,
): Problem {
  const isRefused = message.startsWith('useBackend:') && setting.backend !== 'wasm'
  const computesElsewhere = backend !== undefined && backend.name !== 'wasm'
  return { message, offersWasm: isRefused || (isDevice && computesElsewhere) }
}
