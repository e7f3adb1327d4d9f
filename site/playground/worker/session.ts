/** Both networks of a setting in training, one epoch of each in turn. */
import type { RegionStream } from '../../../src/data/regions/region-stream.js'
import { modelCost } from '../../../src/models/cost.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { RoutedModel } from '../../../src/models/routed-model.js'
import {
  type CheckpointStore,
  latestCheckpoint,
  memoryStore,
  readCheckpoint,
} from '../../../src/train/checkpoint.js'
import type { TrainEvent } from '../../../src/train/events.js'
import { train } from '../../../src/train/loop.js'
import { trainSeparately } from '../../../src/train/routing/separate.js'
import type { TrainOptions } from '../../../src/train/train-options.js'
import { type ModelFile, NETWORKS, type NetworkName, type Report } from '../protocol.js'
import type { Setting } from '../setting.js'
import { failure } from './failure.js'
import { lookOf } from './look.js'
import { loadNetwork, savedFiles } from './model-files.js'
import { denseTitles, imagesFor, layersModel, type Network, networkOf, trainings } from './networks.js'
import type { TaskData } from './task-data.js'

type Stores = Readonly<Record<NetworkName, CheckpointStore>>

/** What a session begins with. */
export interface SessionStart {
  readonly session: number
  readonly setting: Setting
  readonly data: TaskData
  /** Images on the wall. */
  readonly wall: number
  /** Files of a saved network that the mixture begins as. */
  readonly model?: readonly ModelFile[] | undefined
  /** Checkpoints of a session with the same networks, to go on from. */
  readonly stores?: Stores | undefined
}

/** Where experts look is told at most so often, in milliseconds. */
const LOOK_MS = 300
/** How far an epoch is, likewise. */
const PROGRESS_MS = 100

/** A training of both networks that can be paused at any step. */
export class Session {
  readonly start: SessionStart
  readonly stores: Stores
  private readonly networks: Readonly<Record<NetworkName, Network>>
  private readonly post: (report: Report) => void
  private readonly abort = new AbortController()
  private mode: 'paused' | 'running' | 'stepping' = 'paused'
  /** Resolves what waits for the end of a pause. */
  private wake: () => void = () => {}
  private ended: Promise<void> = Promise.resolve()
  /** What the training ended with, where it failed. */
  private failed: Report | undefined
  private mixtureEpochs = 0
  private lookedAt = 0
  private toldAt = 0

  private constructor(
    start: SessionStart,
    networks: Readonly<Record<NetworkName, Network>>,
    post: (report: Report) => void,
  ) {
    this.start = start
    this.networks = networks
    this.post = post
    this.stores = start.stores ?? { dense: memoryStore(), mixture: memoryStore() }
  }

  /**
   * Builds the networks on the current backend, tells the page of them, and begins to train.
   *
   * @param isRunning whether without a pause first
   * @throws as the library, for a setting that it refuses, or files that are no network of this task
   */
  static async open(
    start: SessionStart,
    isRunning: boolean,
    post: (report: Report) => void,
  ): Promise<Session> {
    const { setting, data, model, session: number } = start
    const mixture = model ? await loadNetwork(model, data.train) : networkOf('mixture', setting, data.train)
    const networks = { dense: networkOf('dense', setting, data.train), mixture }
    const session = new Session(start, networks, post)
    post({ type: 'ready', session: number, facts: factsOf(start, networks) })
    if (!start.stores) await session.look()
    if (isRunning) session.resume('running')
    session.ended = session.train()
    return session
  }

  /** Trains on, until a pause or for one epoch of both networks. After a failure it tells that again: nothing is left to train. */
  resume(mode: 'running' | 'stepping'): void {
    if (this.failed) {
      this.post(this.failed)
      return
    }
    this.mode = mode
    this.tellRunning(true)
    this.wake()
  }

  /** Pauses after the running step. */
  pause(): void {
    this.mode = 'paused'
    this.tellRunning(false)
  }

  /** The files of one of the networks, as it is now. */
  save(network: NetworkName): Promise<readonly ModelFile[]> {
    const { setting, data } = this.start
    return savedFiles(this.networks[network], setting, data.train.classNames)
  }

  /** Ends after the running step and frees the networks. */
  async close(): Promise<void> {
    this.abort.abort()
    this.wake()
    await this.ended
    for (const network of Object.values(this.networks)) {
      // What was on a device that is lost cannot be freed.
      try {
        disposeModel(layersModel(network))
      } catch {}
    }
  }

  private async train(): Promise<void> {
    const { session } = this.start
    try {
      const running = { dense: await this.epochs('dense'), mixture: await this.epochs('mixture') }
      for (let isDone = false; !isDone; ) {
        await this.untilResumed()
        isDone = true
        for (const name of NETWORKS) if (!(await running[name].next()).done) isDone = false
        if (this.abort.signal.aborted) return
        const isLast = isDone || this.mode !== 'running'
        if (isLast || performance.now() - this.lookedAt > LOOK_MS) await this.look()
        if (this.mode === 'stepping') this.pause()
      }
      this.pause()
      this.post({ type: 'done', session })
    } catch (error) {
      this.failed = failure(session, error)
      this.post(this.failed)
    }
  }

  /** The training of one network; it stands still while there is a pause, and after each epoch. */
  private async epochs(name: NetworkName): Promise<AsyncGenerator<void>> {
    const network = this.networks[name]
    const { data, setting } = this.start
    const training = trainings[setting.task]
    const stored = this.start.stores && (await this.stores[name].read(latestCheckpoint))
    const options = {
      train: imagesFor(network, data.train),
      test: imagesFor(network, data.test),
      epochs: training.epochs,
      batchSize: training.batchSize,
      optimizer: training.optimizer,
      bnStatistics: training.bnStatistics,
      seed: setting.seed,
      checkpoints: this.stores[name],
      signal: this.abort.signal,
      ...(stored && { resume: readCheckpoint(stored, 'the last checkpoint') }),
    }
    const isSeparate = name === 'mixture' && setting.routers === 'separate'
    const events =
      network instanceof RoutedModel
        ? train(network, options as TrainOptions<RegionStream>)
        : isSeparate
          ? trainSeparately(network, { ...(options as TrainOptions), routers: training.routers })
          : train(network, options as TrainOptions)
    for (const past of options.resume?.history ?? []) this.tell(name, { type: 'epoch', ...past })
    return this.followed(name, events)
  }

  private async *followed(name: NetworkName, events: AsyncGenerator<TrainEvent>): AsyncGenerator<void> {
    for await (const event of events) {
      this.tell(name, event)
      if (event.type === 'step') await this.untilResumed()
      if (event.type === 'checkpoint') yield
    }
  }

  private async untilResumed(): Promise<void> {
    while (this.mode === 'paused' && !this.abort.signal.aborted) {
      await new Promise<void>(resolve => {
        this.wake = resolve
      })
    }
  }

  private tell(network: NetworkName, event: TrainEvent): void {
    const { session } = this.start
    if (event.type === 'epoch') {
      const { epoch, trainLoss, trainAccuracy, testAccuracy = Number.NaN, seconds } = event
      if (network === 'mixture') this.mixtureEpochs = epoch
      const result = { epoch, trainLoss, trainAccuracy, testAccuracy, seconds }
      this.post({ type: 'epoch', session, network, result })
    }
    if (event.type === 'remark' && network === 'mixture') {
      this.post({ type: 'remark', session, remark: event.remark })
    }
    if (event.type !== 'step' || performance.now() - this.toldAt < PROGRESS_MS) return
    this.toldAt = performance.now()
    const share = event.step / event.stepsPerEpoch
    this.post({ type: 'progress', session, network, epoch: event.epoch, share })
  }

  private tellRunning(isRunning: boolean): void {
    this.post({ type: 'running', session: this.start.session, isRunning })
  }

  private async look(): Promise<void> {
    const { session, data, wall } = this.start
    const look = await lookOf(this.networks, data.test, wall, this.mixtureEpochs)
    this.lookedAt = performance.now()
    this.post({ type: 'look', session, look })
  }
}

function factsOf({ setting, data }: SessionStart, networks: Readonly<Record<NetworkName, Network>>) {
  const { task } = setting
  return {
    epochs: trainings[task].epochs,
    trainImages: data.train.count,
    testImages: data.test.count,
    costs: {
      dense: modelCost(layersModel(networks.dense)),
      mixture: modelCost(layersModel(networks.mixture)),
    },
    denseTitle: denseTitles[task],
  }
}
