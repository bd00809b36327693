"""The columnar decoder's compiled parts: protobuf bytes to columns, with no Python object a span or attribute.

``memory`` loads and stores; ``protobuf`` walks the wire format; ``number``, ``text`` and ``value`` write JSON;
``keys`` finds attribute keys; ``pairs`` reads attributes; ``promotion`` fills columns from them; ``span`` reads one
span; ``request`` walks whole requests; ``gather`` makes Arrow buffers of what was found.
"""
