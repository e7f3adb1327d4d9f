import type { AnswerTo, Question } from '../../../src/explore/explorer.js'
import type { ExplorerSource } from '../source.js'
import type { NumberedOrder, Order, OrderAnswer } from './orders.js'

/** Pictures whose addresses are kept. */
const MOST_PICTURES = 600

/**
 * Networks and images that a visitor drops: all of it is computed in a worker of the page, and nothing leaves it.
 *
 * @param worker of `worker.ts`
 */
export function droppedSource(worker: Worker): ExplorerSource {
  const order = orderly(worker)
  const pictures = new Map<string, Promise<string>>()
  const given = (files: readonly File[]) =>
    files.map(file => ({ file, path: file.webkitRelativePath || file.name }))
  return {
    ask: async <Asked extends Question>(question: Asked) =>
      (await order({ do: 'ask', question })) as AnswerTo<Asked>,
    picture(network, image, longest) {
      const key = `${network} ${image} ${longest}`
      const address =
        pictures.get(key) ??
        order({ do: 'picture', network, image, longest }).then(blob => URL.createObjectURL(blob as Blob))
      pictures.set(key, address)
      for (const [oldest, old] of pictures) {
        if (pictures.size <= MOST_PICTURES) break
        pictures.delete(oldest)
        old.then(URL.revokeObjectURL, () => undefined)
      }
      return address
    },
    async addImages(files) {
      await order({ do: 'add images', files: given(files) })
    },
    async addNetwork(files) {
      await order({ do: 'add network', files: given(files) })
    },
  }
}

/** Whoever waits for the answer to an order. */
interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** Sends orders to a worker, and settles each with its answer. */
function orderly(worker: Worker): (order: Order) => Promise<unknown> {
  const waiting = new Map<number, Waiting>()
  let next = 0
  worker.addEventListener('message', ({ data }: MessageEvent<OrderAnswer>) => {
    const order = waiting.get(data.number)
    waiting.delete(data.number)
    if ('problem' in data) order?.reject(new Error(data.problem))
    else order?.resolve(data.value)
  })
  worker.addEventListener('error', event => {
    for (const order of waiting.values())
      order.reject(new Error(event.message || 'the worker of the page does not start'))
    waiting.clear()
  })
  return order =>
    new Promise((resolve, reject) => {
      const number = next++
      waiting.set(number, { resolve, reject })
      worker.postMessage({ number, order } satisfies NumberedOrder)
    })
}
