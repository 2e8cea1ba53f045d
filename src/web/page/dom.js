// Elements described as plain data, and put on the page by changing only what is different: what an operator has under
// the pointer, or types into, stays. Text is only ever set as text, so no name can become markup.

const DRAWN = new Set(['svg', 'path', 'line', 'circle', 'rect', 'g', 'polyline', 'text']);

// h('p', {class: 'a', key: 1, onclick: f, css: {width: '3%'}}, 'text', h(...), null, [more])
export function h(tag, attributes, ...inner) {
    const kids = inner.flat(9).filter((kid) => kid !== null && kid !== undefined && kid !== false && kid !== '');
    return {tag, attributes: attributes || {}, kids};
}

function make(node) {
    if (typeof node !== 'object') return document.createTextNode(String(node));
    const element = DRAWN.has(node.tag) ? document.createElementNS('http://www.w3.org/2000/svg', node.tag)
                                        : document.createElement(node.tag);
    element.described = {};
    update(element, node);
    return element;
}

function set(element, name, value, before) {
    if (name === 'key') return;
    if (name.startsWith('on')) {
        element[name] = value || null;
    } else if (name === 'css') {
        for (const property of Object.keys(before || {})) if (!(property in (value || {}))) element.style.removeProperty(property);
        for (const [property, one] of Object.entries(value || {})) element.style.setProperty(property, one);
    } else if (name === 'value' || name === 'checked' || name === 'disabled') {
        const wanted = value === undefined ? (name === 'value' ? '' : false) : value;
        if (element[name] !== wanted) element[name] = wanted;
    } else if (value === undefined || value === null || value === false) {
        element.removeAttribute(name);
    } else {
        element.setAttribute(name, value === true ? '' : value);
    }
}

function update(element, node) {
    const before = element.described;
    for (const name of Object.keys(before)) if (!(name in node.attributes)) set(element, name, undefined, before[name]);
    for (const [name, value] of Object.entries(node.attributes)) if (before[name] !== value) set(element, name, value, before[name]);
    element.described = node.attributes;
    patch(element, node.kids);
}

function same(element, node) {
    if (typeof node !== 'object') return element.nodeType === Node.TEXT_NODE;
    return element.nodeType === Node.ELEMENT_NODE && element.described !== undefined &&
        element.localName === node.tag && element.described.key === node.attributes.key;
}

// Makes the children of `parent` what `kids` describe. Children with a key keep their element wherever they move.
export function patch(parent, kids) {
    const keyed = new Map();
    for (const child of parent.childNodes) {
        const key = child.described && child.described.key;
        if (key !== undefined) keyed.set(key, child);
    }
    let at = parent.firstChild;
    for (const node of kids) {
        const key = typeof node === 'object' ? node.attributes.key : undefined;
        let element = key === undefined ? at : keyed.get(key);
        if (element && key === undefined && element.described && element.described.key !== undefined) element = null;
        if (!element || !same(element, node)) {
            element = make(node);
            parent.insertBefore(element, at);
        } else {
            if (element !== at) parent.insertBefore(element, at);
            if (typeof node === 'object') update(element, node);
            else if (element.data !== String(node)) element.data = String(node);
        }
        at = element.nextSibling;
    }
    while (at) {
        const next = at.nextSibling;
        at.remove();
        at = next;
    }
}
