return written()
