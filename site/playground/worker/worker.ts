/**
 * The worker of the playground: reads images, and trains. What computes is imported after the first images are on their way to
 * the page.
 */
import type { PixelSet } from '../../../src/data/image-set.js'
import type { ModelFile, NetworkName, Order, Report } from '../protocol.js'
import { type Setting, taskRanges } from '../setting.js'
import { failure } from './failure.js'
import { readPictures } from './pictures.js'
import type { Session } from './session.js'
import { taskData, wallOf } from './task-data.js'

type Open = Extract<Order, { readonly type: 'open' }>

/** What of a worker's scope is used; the types of pages do not have it. */
const scope = globalThis as unknown as {
  postMessage(report: Report): void
  onmessage: ((event: MessageEvent<Order>) => void) | null
}

let current: Session | undefined
/** What a session with the same networks can go on from, also where one between failed; none once other networks are asked for. */
let latest: Session | undefined
let own: PixelSet | undefined
/** The number of the newest session that was asked for. */
let newest = 0
/** The number of the newest pictures that were asked for. */
let pictures = 0
/** What changes the session is done in turn. */
let queue: Promise<void> = Promise.resolve()

scope.onmessage = ({ data: order }) => {
  if ('session' in order) newest = order.session
  if (order.type === 'pictures') void read(order)
  else queue = queue.then(() => followed(order))
}

async function followed(order: Exclude<Order, { readonly type: 'pictures' }>): Promise<void> {
  try {
    if (order.type === 'open') await open(order)
    else if (order.type === 'close') await close()
    else if (order.type === 'save') await save(order.network)
    else if (order.type === 'pause') current?.pause()
    else current?.resume(order.type === 'run' ? 'running' : 'stepping')
  } catch (error) {
    scope.postMessage(failure('session' in order ? order.session : newest, error))
  }
}

/** Ends the session of now, if there is one. */
async function close(): Promise<void> {
  const last = current
  current = undefined
  await last?.close()
}

async function open(order: Open): Promise<void> {
  const { session, assets, isRunning } = order
  if (!order.goesOn) latest = undefined
  // A newer one follows it already.
  if (session !== newest) return
  await close()
  const model = order.model ?? latest?.start.model
  const setting = order.model ? await settingOfModel(order, order.model) : order.setting
  const data = await taskData(setting, assets.samples, own)
  const wall = wallOf(data.test)
  scope.postMessage({ type: 'wall', session, wall })
  const { openSession } = await import('./computing.js')
  if (session !== newest) return
  const start = { session, setting, data, wall: wall.count, model, stores: latest?.stores }
  const options = { backend: setting.backend, wasmPaths: assets.wasm, isRunning }
  current = await openSession(start, options, report => scope.postMessage(report))
  latest = current
}

/** The setting that a saved network tells, on the backend of now; the page is told as well. */
async function settingOfModel({ session, setting }: Open, files: readonly ModelFile[]): Promise<Setting> {
  const { savedSetting } = await import('./computing.js')
  const saved = { ...(savedSetting(files) ?? setting), backend: setting.backend }
  scope.postMessage({ type: 'loaded', session, setting: saved })
  return saved
}

async function save(network: NetworkName): Promise<void> {
  if (!current) throw new Error('Save: a network must be trained, got none')
  scope.postMessage({ type: 'saved', network, files: await current.save(network) })
}

/** Messages of progress come at most so often, in milliseconds. */
const PROGRESS_MS = 60

async function read({ classes }: Extract<Order, { readonly type: 'pictures' }>): Promise<void> {
  const number = ++pictures
  let toldAt = 0
  const tell = (done: number, total: number): void => {
    if (done < total && performance.now() - toldAt < PROGRESS_MS) return
    toldAt = performance.now()
    scope.postMessage({ type: 'decoding', done, total })
  }
  const result = await readPictures(classes, taskRanges.own.side, tell, () => number !== pictures)
  if (!result) return
  own = result.set
  scope.postMessage(result.report)
}
