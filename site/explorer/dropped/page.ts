// A page of the explorer by itself: networks and images are dropped on it.
import { pageStyle } from '../../../src/report/page-style.js'
import { mountExplorer } from '../main.js'
import { droppedSource } from './dropped-source.js'

const style = document.createElement('style')
style.textContent = pageStyle
document.head.append(style)
const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
mountExplorer(document.querySelector('main') as HTMLElement, droppedSource(worker))
