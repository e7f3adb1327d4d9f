import type { MessagePort, TransferListItem, Worker } from 'node:worker_threads'

/** Why a thread has no answer. */
interface Refusal {
  readonly name: string
  readonly message: string
}

interface Asker<Answer> {
  resolve(answer: Answer): void
  reject(error: Error): void
}

/** How a thread is asked. */
export interface AskedThreadOptions {
  /** Who asks, for the error when the thread ends. */
  readonly where: string
  /** Milliseconds without work after which the thread ends; never unless given. */
  readonly idleMs?: number
}

/** A worker thread that answers orders, in any order of its own; it keeps the process alive only while it is asked. */
export class AskedThread<Order extends object, Answer extends object> {
  hasEnded = false
  private readonly worker: Worker
  private readonly options: AskedThreadOptions
  private readonly askers = new Map<number, Asker<Answer>>()
  private orders = 0
  private timer: NodeJS.Timeout | undefined

  /** @param worker started by `startWorker`, a module that calls {@link answerOrders} */
  constructor(worker: Worker, options: AskedThreadOptions) {
    this.worker = worker
    this.options = options
    worker.on('message', (answer: { readonly id: number } & (Answer | Refusal)) => this.take(answer))
    worker.on('error', error => this.end(error))
    worker.on('exit', () => this.end(new Error(`${options.where}: thread must answer, got its end`)))
  }

  /**
   * Asks for something.
   *
   * @throws what the thread throws; Error when it ends
   */
  ask(order: Order): Promise<Answer> {
    clearTimeout(this.timer)
    this.worker.ref()
    const id = this.orders++
    return new Promise((resolve, reject) => {
      this.askers.set(id, { resolve, reject })
      this.worker.postMessage({ id, ...order })
    })
  }

  private take(answer: { readonly id: number } & (Answer | Refusal)): void {
    const asker = this.askers.get(answer.id)
    this.askers.delete(answer.id)
    if ('message' in answer) asker?.reject(errorOf(answer as Refusal))
    else asker?.resolve(answer as Answer)
    if (this.askers.size > 0) return
    this.worker.unref()
    const { idleMs } = this.options
    if (idleMs === undefined) return
    this.timer = setTimeout(() => {
      this.hasEnded = true
      void this.worker.terminate()
    }, idleMs).unref()
  }

  private end(error: Error): void {
    this.hasEnded = true
    clearTimeout(this.timer)
    for (const { reject } of this.askers.values()) reject(error)
    this.askers.clear()
  }
}

/** The classes of errors that come through as they are. */
const CLASSES: Readonly<Record<string, new (message: string) => Error>> = { RangeError, TypeError }

function errorOf({ name, message }: Refusal): Error {
  return new (CLASSES[name] ?? Error)(message)
}

/**
 * Answers the orders of an {@link AskedThread}; to be called in the thread.
 *
 * @param port of the thread
 * @param answer what an order is answered with, and the buffers in it that are handed over without copying
 */
export function answerOrders<Order extends object, Answer extends object>(
  port: MessagePort | null,
  answer: (order: Order) => AnswerWithBuffers<Answer> | Promise<AnswerWithBuffers<Answer>>,
): void {
  port?.on('message', async ({ id, ...order }: { readonly id: number } & Order) => {
    try {
      const [answered, buffers] = await answer(order as unknown as Order)
      port.postMessage({ id, ...answered }, buffers)
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error))
      port.postMessage({ id, name, message })
    }
  })
}

export type AnswerWithBuffers<Answer> = readonly [answer: Answer, buffers: readonly TransferListItem[]]
